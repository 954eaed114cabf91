import { generateKeyPair } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { importReleaseKey } from '../release/index.js'
import type { Command } from './command.js'
import { readArguments, readInteger } from './read-arguments.js'
import { writeNew } from './read-file.js'

async function makePair(modulusLength: number, pss: boolean): Promise<{ publicKey: string; privateKey: string }> {
  const generate = promisify(generateKeyPair)
  const publicExponent = 0x10001
  // The type declarations call the salt's length a text; it is a number.
  const forPss = { hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 as never }
  const pair = pss
    ? await generate('rsa-pss', { modulusLength, publicExponent, ...forPss })
    : await generate('rsa', { modulusLength, publicExponent })
  return {
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** `capstan keygen` */
export const keygen: Command = {
  summary: 'make the key pair that signs your releases',
  help: `capstan keygen [--private FILE] [--public FILE] [--bits N] [--pss]

  --private FILE   where the private key goes, readable by you alone (release-key.pem)
  --public FILE    where the public key goes (release-key.pub.pem)
  --bits N         RSA size, 3072 (default) or 4096
  --pss            an RSA key for PSS signatures; the official mobile plugins do not know them

Existing files are never overwritten. Keep the private key where you sign; the public key goes into your app.`,
  async run(args, terminal) {
    const options = readArguments(args, { names: ['private', 'public', 'bits'], flags: ['pss'], operands: [] })
    const modulusLength = readInteger(options.get('bits') ?? '3072', 'bits', { min: 2048, max: 8192 })
    const privatePath = options.get('private') ?? join('.', 'release-key.pem')
    const publicPath = options.get('public') ?? privatePath.replace(/(\.pem)?$/, '.pub.pem')
    const pair = await makePair(modulusLength, options.has('pss'))
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
