import { decodeBase64 } from '../release/base64.js'
import { ReleaseError } from '../release/release-error.js'
import type { Verifier, VerifierKey } from './verifier.js'

const message = new TextEncoder().encode('capstan known answer')
const rsaKey =
  'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu3+ag1+djxA3WmhTALpHZi0kBXMvjOkpOajKIuMOz3PzNTr7jkhm' +
  'Vw9klQI/cy++Ab6JQ4dONgQ3TeWk1iqXky3d+1dsX5P9B6hL0l6gvA+x1iGWlfpUtaUVyKK2rL+CidJCQfU2qRKXrwx4xste' +
  'LXKBYbeUQM5+JPb5CfcnFHOYXds0ZphzLJ90wOQQtuG9GmM/N+8r6G0bO/eHfYnmmF7iBjrVYYDI5VIbpr67zbQ6wfVordrN' +
  'FEqoYHe2EV8fzW8MZmc7rBAeUA7EHHFE+jvvgFNmCXfRCTeI0N1UrbDS01rPLnMQhY87CrrtbyWRAkdxU32vNxVhOV6D+beF' +
  'ZQIDAQAB'

/** A key and its signature over the message. The private keys were thrown away. */
const answers: Record<VerifierKey['algorithm'], { key: string; signature: string }> = {
  'RSASSA-PKCS1-v1_5': {
    key: rsaKey,
    signature:
      'nKSZvOXitOWxMe5M4dDS6LdI+Iw5uECh2j9X5mSA641dcmO/SBMViHdJ0BHudxUOxItMLq9BJ2z1zwUss8cgRBBGpqH+pC/D' +
      'GumHGziTuJLR7tvMZlQ6Hy2OH9hZCf8AtiF1EENPnO4giWbCBD3XtN+EZkkily4ylsCzfufGCnd7XTgI9+Wi6U8oivmnbnHi' +
      '1NMUD2bjXLYAUzlpycAtfsC7NOq3eG4Jz7ta6E3qMqD4hOBjsAP3fPyrfgMgPgZEyJE0Pl+1dM3VlYUhyk1cbVzP1uX+b5co' +
      '8ymjdt+WL3VmtCnfuaPeYidKKu+ukTt34LtJ9dfnjIVffTlgtCsiRA==',
  },
  'RSA-PSS': {
    key: rsaKey,
    signature:
      'ak/xm1slZ2tQHAnbuYMugMezawEBx44fMwTswHjqBTYIeFUNDrSfpXVUu6RezjW9Ox8a6cW1zg2soDySDO+HJvUfDE8w+LWg' +
      'HrCDizgdjaHdMErv3aOg6tJAuY1Ckn973IkgzNRSqOAdyImol6K7AM0DL5/IealBVeAbLEVX/EvMDtaL2hBFigQwo8oMU/E6' +
      'q7fD+D2ILXtjOQf3fYHvL1YH9sslDRY2B4ykRhG3+HdDjwQvl12qcOo8lUjSMWvHm+07ePOu5UzTNqWBov03iKoMun8PkINM' +
      'HQ2Ra9wKdg47BeY/4HGfB+VVbsiLDaQbLDNdhSpD3RNEAaoaRj4l8A==',
  },
  Ed25519: {
    key: 'MCowBQYDK2VwAyEAqXKB2USC/sl1gNLKgcUvOae01cba/kujdNgkFya4qLM=',
    signature: 'jaZiTkJGwBNTknLVOQF3c0z27PUyxJN3SygZrOigezi9cxUtZcUgwkDAF5/Mu/MV1TJDn1Uz39vSpMycs4oSDA==',
  },
}

/** SHA-256 of the message, in base64. */
const digest = 'kh6DLIKaIFFmwmUbE5MvZgm0CyYKB6kEPc7yEUim2R8='

function wrong(what: string): ReleaseError {
  return new ReleaseError('CRYPTO_UNAVAILABLE', `The app's verifier gives wrong answers for ${what}; it is not used.`)
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(decodeBase64(text) ?? [])
}

const changed = (bytes: Uint8Array): Uint8Array => bytes.map((byte, index) => (index === 9 ? byte ^ 1 : byte))

/** @throws {ReleaseError} `CRYPTO_UNAVAILABLE` */
export async function proveHash(verifier: Verifier): Promise<void> {
  const right = await verifier.sha256(message).catch(() => null)
  const other = await verifier.sha256(changed(message)).catch(() => null)
  const textOf = (hash: Uint8Array | null): string => Uint8Array.from(hash ?? []).join()
  const expected = textOf(bytesOf(digest))
  if (textOf(right) !== expected || !other || textOf(other) === expected) throw wrong('SHA-256')
}

/** @throws {ReleaseError} `CRYPTO_UNAVAILABLE` */
export async function proveKey(verifier: Verifier, algorithm: VerifierKey['algorithm']): Promise<void> {
  const { key, signature: text } = answers[algorithm]
  const signature = bytesOf(text)
  const verify = await verifier.importKey({ algorithm, spki: bytesOf(key) }).catch(() => {
    throw wrong(algorithm)
  })
  const judge = (bytes: Uint8Array, by: Uint8Array): Promise<boolean> => verify(bytes, by).catch(() => false)
  const verdicts = [
    await judge(message, signature),
    await judge(changed(message), signature),
    await judge(message, changed(signature)),
    await judge(message, new Uint8Array(signature.length)),
    await judge(message, new Uint8Array()),
  ]
  // A truthy answer is not good enough: only `true` is a yes, and only `false` is a no.
  if (verdicts.join() !== 'true,false,false,false,false') throw wrong(algorithm)
}
