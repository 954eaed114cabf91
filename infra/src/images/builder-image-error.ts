/** Why the builder images could not be made. The message is one sentence a person can act on; output follows it. */
export class BuilderImageError extends Error {
  override name = 'BuilderImageError' as const
  readonly code: BuilderImageCode

  constructor(code: BuilderImageCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export type BuilderImageCode =
  | 'command-missing'
  | 'command-failed'
  | 'docker-unavailable'
  | 'definition-invalid'
  | 'base-image-unavailable'
  | 'interrupted'
