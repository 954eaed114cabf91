import { sha256Hex } from '../archive/index.js'
import { CommandError, type Terminal, UsageError } from './command.js'
import { type Arguments } from './read-arguments.js'
import { readBytes } from './read-file.js'
import { type LocalSigner, readSigningKey } from './read-signing-key.js'
import { askSigner } from './ask-signer.js'
import { readTrustedKey } from './read-trusted-key.js'
import { decodeBase64 } from '../release/index.js'

/** The options of every command that signs. */
export const signerOptions = ['key', 'key-env', 'signer', 'signer-key'] as const

/** Their help. */
export const signerHelp = `  --key FILE             your private key, PEM; it never leaves this machine
  --key-env NAME         or: the environment variable that holds it
  --signer PROGRAM       or: a program that signs, for a KMS or an HSM. It gets the message on standard input, its SHA-256
                         in CAPSTAN_SHA256 (hex) and the algorithm in CAPSTAN_ALGORITHM, and prints the signature in base64
  --signer-key FILE      with --signer: its public key`

async function openProgram(program: string, publicKeyFile: string): Promise<LocalSigner> {
  const { key, pem, algorithm } = await readTrustedKey(publicKeyFile)
  return {
    keyId: key.keyId,
    publicPem: pem,
    async sign(message) {
      const environment = { CAPSTAN_SHA256: await sha256Hex(Uint8Array.from(message)), CAPSTAN_ALGORITHM: algorithm }
      const signature = decodeBase64((await askSigner(program, message, environment)).trim())
      if (signature === null || !(await key.verify(message, signature)))
        throw new CommandError(
          'SIGNER',
          `${program} did not print a signature, in base64, by the key in ${publicKeyFile}.`,
        )
      return signature
    },
  }
}

/**
 * Opens what signs: exactly one of a file, an environment variable, a program.
 *
 * @param prefix of the option names, for commands that need a second signer
 * @throws {CommandError} `KEY_*`
 */
export async function openSigner(options: Arguments, terminal: Terminal, prefix = ''): Promise<LocalSigner> {
  const [file, variable, program] = ['key', 'key-env', 'signer'].map((name) => options.get(prefix + name))
  if ([file, variable, program].filter((value) => value !== null).length > 1)
    throw new UsageError(`Give one of --${prefix}key, --${prefix}key-env and --${prefix}signer.`)
  if (program) return openProgram(program, options.need(`${prefix}signer-key`))
  if (variable) {
    const pem = terminal.variable(variable)
    if (pem === null) throw new CommandError('KEY_MISSING', `The environment variable ${variable} is not set.`)
    return readSigningKey(pem, variable)
  }
  const path = options.need(`${prefix}key`)
  return readSigningKey(Buffer.from(await readBytes(path)).toString('latin1'), path)
}
