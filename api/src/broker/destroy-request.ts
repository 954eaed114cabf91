import { z } from 'zod'

const Version = z.number().int().positive().max(999_999_999)

/** `POST /destroy` on the `seal` socket: destruction is not decryption, so the API may ask for it. */
export const DestroyCredentialRequest = z.strictObject({
  org: z.uuid(),
  credential: z.uuid(),
  /** Without it, every version. */
  version: Version.optional(),
})

/** `POST /destroy-organization` on the `seal` socket. */
export const DestroyOrganizationRequest = z.strictObject({ org: z.uuid() })

/** `POST /destroy` on the `admin` socket; without a credential, every key of the organization. */
export const DestroyRequest = DestroyCredentialRequest.partial({ credential: true }).refine(
  ({ credential, version }) => credential !== undefined || version === undefined,
  { message: 'a version needs its credential' },
)
export type DestroyRequest = z.infer<typeof DestroyRequest>
