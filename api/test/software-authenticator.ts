import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** A security key in software: ES256, resident, verifies its user (Web Authentication level 3, sections 6 and 7). */
export type SoftwareAuthenticator = {
  id: string
  create(options: { challenge: string }, origin: string, rpId: string): object
  get(
    options: { challenge: string },
    origin: string,
    rpId: string,
    changes?: { counter?: number; flags?: number },
  ): object
}

const UP_UV = 0x05
const ATTESTED = 0x40

export function createAuthenticator(userVerified = true): SoftwareAuthenticator {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const credentialId = randomBytes(32)
  const id = credentialId.toString('base64url')
  const userFlags = userVerified ? UP_UV : 0x01
  let counter = 0
  const authData = (rpId: string, flags: number, count: number, rest = Buffer.alloc(0)) => {
    const head = Buffer.alloc(5)
    head.writeUInt8(flags)
    head.writeUInt32BE(count, 1)
    return Buffer.concat([createHash('sha256').update(rpId).digest(), head, rest])
  }
  const clientData = (type: string, challenge: string, origin: string) =>
    Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }))
  const wrap = (response: Record<string, Buffer>) => ({
    id,
    rawId: id,
    type: 'public-key',
    clientExtensionResults: {},
    response: Object.fromEntries(Object.entries(response).map(([key, value]) => [key, value.toString('base64url')])),
  })
  return {
    id,
    create({ challenge }, origin, rpId) {
      const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
      const cose = Buffer.concat([
        Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01]),
        Buffer.concat([Buffer.from([0x21, 0x58, 0x20]), Buffer.from(x, 'base64url')]),
        Buffer.concat([Buffer.from([0x22, 0x58, 0x20]), Buffer.from(y, 'base64url')]),
      ])
      const attested = Buffer.concat([Buffer.alloc(16), Buffer.from([0, 32]), credentialId, cose])
      const data = authData(rpId, userFlags | ATTESTED, counter, attested)
      const attestationObject = Buffer.concat([
        Buffer.from([0xa3, 0x63]),
        Buffer.from('fmt'),
        Buffer.from([0x64]),
        Buffer.from('none'),
        Buffer.from([0x67]),
        Buffer.from('attStmt'),
        Buffer.from([0xa0, 0x68]),
        Buffer.from('authData'),
        Buffer.from([0x58, data.length]),
        data,
      ])
      return wrap({ clientDataJSON: clientData('webauthn.create', challenge, origin), attestationObject })
    },
    get({ challenge }, origin, rpId, changes = {}) {
      counter += 1
      const data = authData(rpId, changes.flags ?? userFlags, changes.counter ?? counter)
      const clientDataJSON = clientData('webauthn.get', challenge, origin)
      const signed = Buffer.concat([data, createHash('sha256').update(clientDataJSON).digest()])
      return wrap({ clientDataJSON, authenticatorData: data, signature: sign('sha256', signed, privateKey) })
    },
  }
}
