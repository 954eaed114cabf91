import { generateKeyPair } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { importReleaseKey } from '../release/index.js'
import type { Command } from './command.js'
import { readArguments, readInteger } from './read-arguments.js'
import { writeNew } from './read-file.js'

/** `capstan keygen` */
export const keygen: Command = {
  summary: 'make the key pair that signs your releases',
  help: `capstan keygen [--private FILE] [--public FILE] [--bits N]

  --private FILE   where the private key goes, readable by you alone (release-key.pem)
  --public FILE    where the public key goes (release-key.pub.pem)
  --bits N         RSA size, 3072 (default) or 4096

Existing files are never overwritten. Keep the private key where you sign; the public key goes into your app.`,
  async run(args, terminal) {
    const options = readArguments(args, { names: ['private', 'public', 'bits'], operands: [] })
    const modulusLength = readInteger(options.get('bits') ?? '3072', 'bits', { min: 2048, max: 8192 })
    const privatePath = options.get('private') ?? join('.', 'release-key.pem')
    const publicPath = options.get('public') ?? privatePath.replace(/(\.pem)?$/, '.pub.pem')
    const pair = await promisify(generateKeyPair)('rsa', {
      modulusLength,
      publicExponent: 0x10001,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    await writeNew(privatePath, pair.privateKey, true)
    await writeNew(publicPath, pair.publicKey).catch(async (error: unknown) => {
      await rm(privatePath)
      throw error
    })
    terminal.print(`private key  ${privatePath}`)
    terminal.print(`public key   ${publicPath}`)
    terminal.print(`key id       ${(await importReleaseKey(pair.publicKey)).keyId}`)
    return 0
  },
}
