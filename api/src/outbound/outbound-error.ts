/**
 * `address-refused`: the host leads into a network that this server does not call for others. `redirect-refused`: the
 * answer named another address, which is not followed.
 */
export type OutboundErrorCode =
  | 'url-refused'
  | 'address-refused'
  | 'redirect-refused'
  | 'response-too-large'
  | 'timed-out'
  | 'unreachable'

/** Why a call to a host of somebody else brought no answer. The message may be shown to whoever named the host. */
export class OutboundError extends Error {
  override name = 'OutboundError' as const
  readonly code: OutboundErrorCode
  constructor(code: OutboundErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
