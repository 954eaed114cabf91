import { Problem } from '../problems.js'

const OPENSSH = /^-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----\s*$/
const MAGIC = Buffer.from('openssh-key-v1\0', 'latin1')

/** A private key as OpenSSH writes it, without a passphrase: nobody is there to type one. */
export function checkSshKey(text: string): string {
  const content = Buffer.from(OPENSSH.exec(text)?.[1] ?? '', 'base64')
  if (!content.subarray(0, MAGIC.length).equals(MAGIC) || content.length < MAGIC.length + 8) {
    throw new Problem(
      'git-connection-invalid',
      'privateKey: this is not an OpenSSH private key. Make one with: ssh-keygen -t ed25519 -N "" -f deploy-key',
    )
  }
  const length = content.readUInt32BE(MAGIC.length)
  const cipher = content.toString('latin1', MAGIC.length + 4, MAGIC.length + 4 + Math.min(length, 64))
  if (cipher === 'none') return `${text.trim()}\n`
  throw new Problem('git-connection-invalid', 'privateKey: the key has a passphrase. Use a key of its own without one.')
}
