import { constants, createSign, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { archiveCorpus, page } from '../archive-corpus.js'
import { makeZip } from '../make-zip.js'
import { bundle, customer, ed25519Pair, platformKeys, rsaPair, signBytes, stranger } from '../update-fixture.js'
import type { ClientSettings } from './contract.js'
import { type HostileServer, replyJson } from './hostile-server.js'

/** One attack: the client must refuse it with the code, and keep running what runs. */
export interface Attack {
  /** The case of the adversarial suite. */
  id: string
  what: string
  profile: ClientSettings['profile']
  code: string
  /** How many variants there are; `arrange` gets the number of each. */
  variants?: number
  arrange(server: HostileServer, variant: number): void | Promise<void>
}

const at = (offset: number): string => new Date(Date.now() + offset).toISOString()
let counter = 0
/** A bundle that no device has seen. */
const fresh = (): Uint8Array<ArrayBuffer> => bundle(`evil ${++counter}`)

function flip(bytes: Uint8Array, variant: number, variants: number): Uint8Array<ArrayBuffer> {
  const bit = Math.floor((bytes.length * 8 * variant) / variants)
  return Uint8Array.from(bytes, (byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
}
const flipText = (text: string, variant: number, variants: number): string =>
  Buffer.from(flip(Buffer.from(text, 'base64'), variant, variants)).toString('base64')

/** Changes the envelopes of the offer that stands. */
async function changeAnswer(server: HostileServer, change: (answer: never) => void): Promise<void> {
  await server.offerRelease(fresh())
  const { latest } = server.http
  let text = ''
  const catcher = { writeHead: () => catcher, end: (body: string) => void (text = body) }
  latest({} as never, catcher as never)
  const answer = JSON.parse(text) as never
  change(answer)
  server.http.latest = replyJson(answer)
}
type Envelopes = Record<'release' | 'channelStatement', { payload: string; signatures: { sig: string }[] }>

const stripped: Attack[] = [
  ...([undefined, '', 'null', ' ', null] as const).map((signature): Attack => ({
    id: 'D20',
    what: `compat, signature ${JSON.stringify(signature)}, checksum correct`,
    profile: 'compat',
    code: 'SIGNATURE_MISSING',
    arrange: (server) =>
      server.offerCompat(fresh(), { checksum: 'a'.repeat(64), ...(signature === undefined ? {} : { signature }) }, {}),
  })),
  ...(['', 'null'] as const).map((signature): Attack => ({
    id: 'D20',
    what: `compat, X-Signature ${JSON.stringify(signature)}`,
    profile: 'compat',
    code: 'SIGNATURE_MISSING',
    arrange: (server) => server.offerCompat(fresh(), {}, { 'x-signature': signature }),
  })),
  ...(['release', 'channelStatement'] as const).flatMap((name): Attack[] => [
    {
      id: 'D20',
      what: `no ${name}`,
      profile: 'release',
      code: 'SIGNATURE_MISSING',
      arrange: (server) => server.offerRelease(fresh(), { answer: { [name]: null } }),
    },
    {
      id: 'D20',
      what: `a ${name} without signatures`,
      profile: 'release',
      code: 'SIGNATURE_MISSING',
      arrange: (server) => changeAnswer(server, (answer: Envelopes) => (answer[name].signatures = [])),
    },
    {
      id: 'D20',
      what: `a ${name} whose signature is empty`,
      profile: 'release',
      code: 'SIGNATURE_MISSING',
      arrange: (server) => changeAnswer(server, (answer: Envelopes) => (answer[name].signatures[0]!.sig = '')),
    },
  ]),
]

const flipped: Attack[] = [
  {
    id: 'D21',
    what: 'compat, a bit of the zip',
    profile: 'compat',
    code: 'BAD_SIGNATURE',
    variants: 64,
    arrange(server, variant) {
      const zip = fresh()
      server.offerCompat(flip(zip, variant, 64), {}, { 'x-signature': signBytes(zip) })
    },
  },
  {
    id: 'D21',
    what: 'compat, a bit of the signature',
    profile: 'compat',
    code: 'BAD_SIGNATURE',
    variants: 64,
    arrange(server, variant) {
      const zip = fresh()
      server.offerCompat(zip, { signature: flipText(signBytes(zip), variant, 64) }, {})
    },
  },
  {
    id: 'D21',
    what: 'release, a bit of the zip',
    profile: 'release',
    code: 'HASH_MISMATCH',
    variants: 64,
    arrange(server, variant) {
      const zip = fresh()
      return server.offerRelease(zip, { served: flip(zip, variant, 64) })
    },
  },
  ...(['release', 'channelStatement'] as const).flatMap((name): Attack[] => [
    {
      id: 'D21',
      what: `a bit of the signature of the ${name}`,
      profile: 'release',
      code: 'BAD_SIGNATURE',
      variants: 64,
      arrange: (server, variant) =>
        changeAnswer(server, (answer: Envelopes) => {
          const [signature] = answer[name].signatures
          signature!.sig = flipText(signature!.sig, variant, 64)
        }),
    },
    {
      id: 'D21',
      what: `a bit of the payload of the ${name}`,
      profile: 'release',
      code: 'BAD_SIGNATURE',
      variants: 64,
      arrange: (server, variant) =>
        changeAnswer(
          server,
          (answer: Envelopes) => (answer[name].payload = flipText(answer[name].payload, variant, 64)),
        ),
    },
  ]),
]

const pss = { key: customer.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
const forgeries: [what: string, make: (zip: Uint8Array) => string][] = [
  ['by a stranger', (zip) => signBytes(zip, stranger)],
  ['over other bytes', () => signBytes(bundle('other'))],
  ['with SHA-1', (zip) => createSign('sha1').update(zip).sign(customer.privateKey, 'base64')],
  ['with PSS padding', (zip) => sign('sha256', zip, pss).toString('base64')],
  ['of zeros', () => Buffer.alloc(256).toString('base64')],
  ['one byte short', (zip) => Buffer.from(signBytes(zip), 'base64').subarray(1).toString('base64')],
  ['in base64url', (zip) => Buffer.from(signBytes(zip), 'base64').toString('base64url')],
]
const forged: Attack[] = [
  ...forgeries.map(([what, make]): Attack => ({
    id: 'D22',
    what: `compat, a signature ${what}`,
    profile: 'compat',
    code: 'BAD_SIGNATURE',
    arrange(server) {
      const zip = fresh()
      server.offerCompat(zip, { signature: make(zip) }, {})
    },
  })),
  {
    id: 'D22',
    what: 'a release signed by a stranger: the platform alone',
    profile: 'release',
    code: 'BAD_SIGNATURE',
    arrange: (server) => server.offerRelease(fresh(), { customer: stranger }),
  },
  {
    id: 'D22',
    what: 'a channel statement of another platform: the customer alone',
    profile: 'release',
    code: 'BAD_SIGNATURE',
    arrange: (server) => server.offerRelease(fresh(), { platform: ed25519Pair() }),
  },
]

type Change = NonNullable<Parameters<HostileServer['offerRelease']>[1]>
const statements: [what: string, code: string, change: (server: HostileServer) => Change][] = [
  ['an older sequence', 'DOWNGRADE', (server) => ({ sequence: server.accepted.sequence - 1 })],
  ['an equal sequence with other content', 'SEQUENCE_CONFLICT', (server) => ({ sequence: server.accepted.sequence })],
  ['a sequence far ahead', 'SEQUENCE_JUMP', () => ({ sequence: 2 ** 52 })],
  ["another app's release", 'WRONG_APP', () => ({ release: { appId: 'other' } })],
  ["another app's channel statement", 'WRONG_APP', () => ({ channel: { appId: 'other' } })],
  ['a channel that is not listed', 'WRONG_CHANNEL', () => ({ release: { channels: ['beta'] } })],
  ['another channel', 'WRONG_CHANNEL', () => ({ channel: { channel: 'beta' } })],
  ['a native version too old', 'NATIVE_INCOMPATIBLE', () => ({ release: { minNativeVersion: '1.2.4' } })],
  ['a native version too new', 'NATIVE_INCOMPATIBLE', () => ({ release: { maxNativeVersion: '1.2.2' } })],
  ['a frozen channel', 'STALE', () => ({ channel: { issuedAt: at(-2 * 3_600_000), expiresAt: at(-1000) } })],
  ['a channel of the future', 'STALE', () => ({ channel: { issuedAt: at(3_600_000), expiresAt: at(7_200_000) } })],
  ['an expired release', 'EXPIRED', () => ({ release: { expiresAt: at(-1000) } })],
  ['a release of an unknown root', 'ROOT_UNKNOWN', () => ({ release: { rootVersion: 2 } })],
  ['mixed statements', 'RELEASE_MISMATCH', () => ({ channel: { release: { sha256: 'a'.repeat(64), sequence: 1 } } })],
  ['a download that is too long', 'SIZE_MISMATCH', () => ({ served: new Uint8Array(100_000) })],
  ['a download that is too short', 'SIZE_MISMATCH', () => ({ served: new Uint8Array(10) })],
]
const replayed: Attack[] = [
  ...statements.map(([what, code, change]): Attack => ({
    id: 'D24',
    what,
    profile: 'release',
    code,
    arrange: (server) => server.offerRelease(fresh(), change(server)),
  })),
  ...(['android', 'ios', 'electron', 'web'] as const).map((platform): Attack => ({
    id: 'D24',
    what: `a release for everything but this platform (${platform} lists)`,
    profile: 'release',
    code: 'WRONG_PLATFORM',
    arrange(server) {
      const own = server.settings('release').platform
      const others = (['android', 'ios', 'electron', 'web'] as const).filter((name) => name !== own)
      return server.offerRelease(fresh(), { release: { platforms: platform === own ? others : [others[0]!] } })
    },
  })),
  {
    id: 'D24',
    what: 'compat, a signed bundle that the device left behind',
    profile: 'compat',
    code: 'DOWNGRADE',
    arrange: (server) => server.offerCompat(server.leftBehind),
  },
]

/** The archive rules through the whole client, signed by the real key: a customer's machine that was taken over. */
const archives: Attack[] = archiveCorpus
  .filter(([, , code, , limits]) => code !== null && limits === undefined)
  .flatMap(([what, entries, code, shape]) =>
    (['compat', 'release'] as const).map((profile): Attack => ({
      id: 'D25-D28',
      what: `${profile}, ${what}`,
      profile,
      code: code!,
      arrange(server) {
        const zip = makeZip([{ ...page, content: `<p>evil ${++counter}</p>` }, ...entries], shape)
        return profile === 'compat' ? server.offerCompat(zip) : server.offerRelease(zip)
      },
    })),
  )

const broken: [what: string, code: string, arrange: (server: HostileServer) => void][] = [
  ['a server error', 'SERVER_REFUSED', (server) => (server.http.latest = replyJson({}, 500))],
  [
    'no JSON',
    'ANSWER_MALFORMED',
    (server) => (server.http.latest = (_request, response) => void response.end('<html>')),
  ],
  ['a bundle id that is a path', 'ANSWER_MALFORMED', (server) => server.http.publish('../x', fresh())],
  [
    'a download over plain http',
    'INSECURE_URL',
    (server) => server.offerCompat(fresh(), { url: 'http://cdn.example.com/x' }),
  ],
  ['a download from a file', 'INSECURE_URL', (server) => server.offerCompat(fresh(), { url: 'file:///etc/passwd' })],
  [
    'a download that breaks off',
    'NETWORK',
    (server) => {
      server.offerCompat(fresh())
      server.http.download = (_request, response) =>
        void response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy())
    },
  ],
]
const network = broken.map(([what, code, arrange]): Attack => ({
  id: 'network',
  what,
  profile: 'compat',
  code,
  arrange,
}))

/** Every attack on a running client. */
export const attacks: Attack[] = [...stripped, ...flipped, ...forged, ...replayed, ...archives, ...network]

const weakExponent = { modulusLength: 2048, publicExponent: 3 }
const spki = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString()

/** D23: settings that must stop an app's set-up. */
export const refusedSettings: [what: string, change: Partial<ClientSettings>, code: string][] = [
  ['an RSA key of 1024 bits', { publicKey: rsaPair(1024).publicKey }, 'KEY_SIZE'],
  [
    'an RSA key with exponent 3',
    { publicKey: spki(generateKeyPairSync('rsa', weakExponent).publicKey) },
    'KEY_EXPONENT',
  ],
  ['an EC key', { publicKey: spki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey) }, 'KEY_ALGORITHM'],
  ['one key for both roles', { publicKey: platformKeys.publicKey }, 'KEY_REUSED'],
  ['a private key', { publicKey: customer.privateKey }, 'KEY_PRIVATE'],
  ['two keys in one text', { publicKey: customer.publicKey + stranger.publicKey }, 'KEY_SEVERAL'],
  ['a certificate', { publicKey: customer.publicKey.replaceAll('PUBLIC KEY', 'CERTIFICATE') }, 'KEY_CERTIFICATE'],
  ['no key', { publicKey: '' }, 'KEY_NOT_PEM'],
  ['an RSA key for the platform', { platformKey: customer.publicKey }, 'KEY_ALGORITHM'],
  ['a server without TLS', { serverUrl: 'http://updates.example.com' }, 'INSECURE_URL'],
  ['no app', { appId: '' }, 'CONFIG'],
  ['no channel', { channel: '' }, 'CONFIG'],
]
