import { createHash, randomBytes } from 'node:crypto'
import type { DemoWorld, Keystore } from './demo-world.js'
import { runInBuilder } from './run-in-builder.js'

/** `keytool` gets its passwords from files in the container's memory; they come in on standard input. */
const script = `
umask 077
IFS= read -r store && IFS= read -r name
printf %s "$store" > store.txt
keytool -genkeypair -keystore release.p12 -storetype PKCS12 -storepass:file store.txt -alias release \
  -keyalg RSA -keysize 2048 -validity 10000 -dname "$name" >&2
keytool -exportcert -keystore release.p12 -storepass:file store.txt -alias release -file cert.der >&2
base64 -w 0 release.p12 && echo && base64 -w 0 cert.der
`

/** A keystore with one key, made by keytool as a customer does. */
export async function createKeystore(world: DemoWorld): Promise<Keystore> {
  // The official CLI takes no value that begins with a dash, as one of 64 in base64url does.
  const password = randomBytes(18).toString('hex')
  const subject = `CN=Capstan Demo ${randomBytes(3).toString('hex')}, O=Example`
  const output = (await runInBuilder(world, script, `${password}\n${subject}\n`)).toString('utf8')
  const [store = '', certificate = ''] = output.split('\n').map((line) => Buffer.from(line, 'base64'))
  return {
    name: `Release ${randomBytes(4).toString('hex')}`,
    bytes: Buffer.from(store),
    password,
    // In a PKCS#12 keystore the key's password is the store's.
    keyPassword: password,
    alias: 'release',
    certificateSha256: createHash('sha256').update(certificate).digest('hex'),
  }
}
