import { z } from '@hono/zod-openapi'
import type { AuthenticationResponseJSON } from '@simplewebauthn/server'

const Encoded = z
  .string()
  .regex(/^[\w-]+$/)
  .max(20_000)
const credential = {
  id: Encoded.max(1400),
  rawId: Encoded.max(1400),
  type: z.literal('public-key'),
  authenticatorAttachment: z.enum(['cross-platform', 'platform']).nullish(),
  clientExtensionResults: z.record(z.string().max(100), z.unknown()).default({}),
}

/** `PublicKeyCredential.toJSON()` of `navigator.credentials.create()` (Web Authentication level 3). */
export const RegistrationResponse = z
  .object({
    ...credential,
    response: z.object({
      clientDataJSON: Encoded,
      attestationObject: Encoded,
      transports: z.array(z.string().max(30)).max(10).optional(),
    }),
  })
  .openapi('PasskeyRegistration')

/** `PublicKeyCredential.toJSON()` of `navigator.credentials.get()`. */
export const AuthenticationResponse = z
  .object({
    ...credential,
    response: z.object({
      clientDataJSON: Encoded,
      authenticatorData: Encoded,
      signature: Encoded,
      userHandle: Encoded.nullish(),
    }),
  })
  .openapi('PasskeyAssertion')

/** The same, as the library types it. */
export const asAssertion = (passkey: z.infer<typeof AuthenticationResponse> | undefined) =>
  passkey as unknown as AuthenticationResponseJSON | undefined
