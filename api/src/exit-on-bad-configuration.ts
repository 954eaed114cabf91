import { ObjectStoreError } from './objects/object-store.js'
import { SecretFileError } from './vault/read-secret-file.js'

const EX_CONFIG = 78

/** A key file or store that cannot be used ends the process with one sentence and exit code 78, as a bad setting does. */
export async function exitOnBadConfiguration<T>(start: Promise<T>): Promise<T> {
  try {
    return await start
  } catch (error) {
    if (!(error instanceof SecretFileError || error instanceof ObjectStoreError)) throw error
    process.stderr.write(`Configuration: ${error.message}\n`)
    return process.exit(EX_CONFIG)
  }
}
