import { exitOnBadConfiguration } from '../exit-on-bad-configuration.js'
import { readSecretFile } from '../vault/read-secret-file.js'

export async function readMailPassword(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  return (await exitOnBadConfiguration(readSecretFile(file, 'SMTP_PASSWORD_FILE'))).toString().trim()
}
