import { z } from 'zod'
import { openOwn, sealOwn } from '../auth/identity-keys.js'

const PURPOSE = 'mail'

const Letter = z.object({ to: z.string(), subject: z.string(), text: z.string() })
export type Letter = z.infer<typeof Letter>

/** Under the key that the API and the control process share. */
export const sealMail = (key: Uint8Array, mailId: string, letter: Letter): Buffer =>
  sealOwn(key, PURPOSE, mailId, Buffer.from(JSON.stringify(letter)))

export const openMail = (key: Uint8Array, mailId: string, sealed: Uint8Array): Letter =>
  Letter.parse(JSON.parse(openOwn(key, PURPOSE, mailId, sealed).toString()))
