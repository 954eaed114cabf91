import { z } from '@hono/zod-openapi'
import { NewPassword } from '../auth/new-password.js'
import { plainText } from '../channels/plain-text.js'

/** What an invited person without an account chooses. */
export const NewAccount = z.object({ name: plainText(200).trim().min(1).optional(), password: NewPassword })
export type NewAccount = z.infer<typeof NewAccount>
