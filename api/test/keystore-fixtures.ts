import { readFileSync } from 'node:fs'

export type KeystoreFixture = {
  fileB64: string
  /** As keytool or openssl tells them, in the order of the keystore. */
  sha256: string[]
}

export const storePassword = 'test-password'

function read(name: string): Record<string, KeystoreFixture> {
  const path = new URL(`./keystores/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, KeystoreFixture>
}

const fixtures = { ...read('java'), ...read('openssl') }

/** A keystore made by keytool or openssl (keystores/make-keystores.sh). */
export function keystore(name: string): KeystoreFixture {
  const found = fixtures[name]
  if (found === undefined) throw new Error(`there is no keystore ${name}`)
  return found
}

export const keystoreBytes = (name: string): Buffer => Buffer.from(keystore(name).fileB64, 'base64')
