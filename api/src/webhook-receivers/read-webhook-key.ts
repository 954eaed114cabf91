import { exitOnBadConfiguration } from '../exit-on-bad-configuration.js'
import { readRawKeyFile } from '../vault/read-secret-file.js'

/** The key that the API and the control process share; without a file there is none. */
export const readWebhookKey = (file: string | undefined): Promise<Uint8Array | null> =>
  file === undefined ? Promise.resolve(null) : exitOnBadConfiguration(readRawKeyFile(file, 'WEBHOOK_KEY_FILE'))
