import { execFile } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
export const TEAM = 'TEAM123456'

export type ProfileOptions = {
  name?: string
  uuid?: string
  team?: string
  target?: string
  /** Names of identities; their certificates go into the profile. */
  certificates: string[]
  kind?: 'development' | 'ad-hoc' | 'app-store' | 'enterprise'
  expires?: string
  created?: string
  signer?: string
}

/** A certificate authority that looks like Apple's, made by openssl for one test file. */
export class AppleAuthority {
  readonly folder: string
  private constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<AppleAuthority> {
    const authority = new AppleAuthority(await mkdtemp(join(tmpdir(), 'capstan-apple-')))
    await authority.certificate('root', { subject: '/CN=Test Root CA/O=Apple Inc.', ca: true })
    await authority.certificate('wwdr', { subject: '/CN=Test WWDR/O=Apple Inc.', ca: true, issuer: 'root' })
    const signer = '/CN=Apple iPhone OS Provisioning Profile Signing/O=Apple Inc.'
    await authority.certificate('signer', { subject: signer, issuer: 'wwdr' })
    return authority
  }

  path = (name: string) => join(this.folder, name)
  read = (name: string) => readFile(this.path(name))
  openssl = (...args: string[]) =>
    run('openssl', args, { cwd: this.folder, env: { ...process.env, LC_ALL: 'C.UTF-8' } })

  /** `<name>.key` and `<name>.crt`, PEM. */
  async certificate(
    name: string,
    options: {
      subject: string
      issuer?: string
      ca?: boolean
      usage?: string
      key?: string[]
      days?: [string, string]
    },
  ): Promise<void> {
    const { subject, issuer, ca = false, usage, key = ['rsa:2048'], days } = options
    const extensions = [`basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`, 'subjectKeyIdentifier=hash']
    if (usage !== undefined) extensions.push(`extendedKeyUsage=critical,${usage}`)
    await writeFile(this.path(`${name}.ext`), extensions.join('\n'))
    const request = ['-nodes', '-subj', subject, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-utf8']
    await this.openssl('req', '-new', '-newkey', ...key, ...request)
    const signing =
      issuer === undefined ? ['-signkey', `${name}.key`] : ['-CA', `${issuer}.crt`, '-CAkey', `${issuer}.key`]
    const serial = ['-set_serial', `0x${createHash('sha256').update(name).digest('hex').slice(0, 16)}`]
    const sign = ['x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`, '-sha256']
    if (days === undefined) await this.openssl(...sign, ...signing, ...serial, '-days', '4000')
    else await this.#signAt(name, issuer ?? name, days)
  }

  /** `openssl x509` cannot choose the first day; `openssl ca` can. */
  async #signAt(name: string, issuer: string, [from, to]: [string, string]): Promise<void> {
    const config = [
      '[ca]',
      'default_ca=here',
      '[here]',
      'database=index',
      'serial=serial',
      'new_certs_dir=.',
      'default_md=sha256',
      'policy=any',
      'unique_subject=no',
      '[any]',
      'commonName=supplied',
      'organizationalUnitName=optional',
      'organizationName=optional',
    ]
    await writeFile(this.path('ca.cnf'), config.join('\n'))
    await writeFile(this.path('index'), '')
    await writeFile(this.path('serial'), '0A\n')
    const dates = ['-startdate', from, '-enddate', to]
    const ends = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`]
    await this.openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      'ca.cnf',
      '-cert',
      `${issuer}.crt`,
      '-keyfile',
      `${issuer}.key`,
      ...dates,
      ...ends,
    )
  }

  /** A signing certificate as the developer portal issues it. */
  identity(
    name: string,
    options: { commonName?: string; team?: string; key?: string[]; usage?: string; days?: [string, string] } = {},
  ) {
    const {
      commonName = `Apple Distribution: Example (${TEAM})`,
      team = TEAM,
      usage = 'codeSigning',
      ...rest
    } = options
    const subject = `/CN=${commonName}${team === '' ? '' : `/OU=${team}`}/O=Example`
    return this.certificate(name, { subject, issuer: 'wwdr', usage, ...rest })
  }

  /** A .p12 of an identity. */
  async p12(name: string, password: string, ...args: string[]): Promise<Buffer> {
    const out = `${name}-${createHash('sha256')
      .update(JSON.stringify([password, args]))
      .digest('hex')
      .slice(0, 8)}.p12`
    await writeFile(this.path(`${out}.pass`), `${password}\n`)
    const ends = ['-out', out, '-passout', `file:${out}.pass`]
    await this.openssl('pkcs12', '-export', '-inkey', `${name}.key`, '-in', `${name}.crt`, ...ends, ...args)
    return this.read(out)
  }

  async fingerprint(name: string): Promise<string> {
    return new X509Certificate(await this.read(`${name}.crt`)).fingerprint256.replaceAll(':', '').toLowerCase()
  }

  async profile(options: ProfileOptions): Promise<Buffer> {
    const ders = await Promise.all(
      options.certificates.map(async (name) =>
        new X509Certificate(await this.read(`${name}.crt`)).raw.toString('base64'),
      ),
    )
    return this.sign(profilePlist(options, ders), options.signer)
  }

  /** CMS as Apple makes it: signed attributes, content inside, the chain up to the root. */
  async sign(content: string, signer = 'signer', ...args: string[]): Promise<Buffer> {
    const name = createHash('sha256').update(content).update(signer).update(args.join()).digest('hex').slice(0, 16)
    await writeFile(this.path(`${name}.plist`), content)
    const chain = Buffer.concat([await this.read('wwdr.crt'), await this.read('root.crt')])
    await writeFile(this.path('chain.pem'), chain)
    const keys = ['-signer', `${signer}.crt`, '-inkey', `${signer}.key`, '-certfile', 'chain.pem']
    const ends = ['-in', `${name}.plist`, '-out', `${name}.mobileprovision`]
    await this.openssl(
      'cms',
      '-sign',
      '-binary',
      '-nodetach',
      '-outform',
      'DER',
      '-md',
      'sha256',
      ...keys,
      ...ends,
      ...args,
    )
    return this.read(`${name}.mobileprovision`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

export function profilePlist(options: ProfileOptions, certificates: string[]): string {
  const { team = TEAM, target = 'com.example.app', kind = 'app-store' } = options
  const device = '<key>ProvisionedDevices</key><array><string>00008030-000000000000002E</string></array>'
  const kinds = {
    development: device,
    'ad-hoc': device,
    'app-store': '',
    enterprise: '<key>ProvisionsAllDevices</key><true/>',
  }
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>AppIDName</key><string>Example &amp; more</string>
	<key>ApplicationIdentifierPrefix</key><array><string>${team}</string></array>
	<key>CreationDate</key><date>${options.created ?? new Date().toISOString().replace(/\.\d+/, '')}</date>
	<key>Platform</key><array><string>iOS</string></array>
	<key>DeveloperCertificates</key><array>${certificates.map((der) => `<data>${der}</data>`).join('')}</array>
	<key>Entitlements</key><dict>
		<key>application-identifier</key><string>${team}.${target}</string>
		<key>get-task-allow</key><${kind === 'development'}/>
	</dict>
	<key>ExpirationDate</key><date>${options.expires ?? '2035-01-01T00:00:00Z'}</date>
	<key>Name</key><string>${options.name ?? 'Example App Store'}</string>
	${kinds[kind]}
	<key>TeamIdentifier</key><array><string>${team}</string></array>
	<key>TeamName</key><string>Example</string>
	<key>TimeToLive</key><integer>365</integer>
	<key>UUID</key><string>${options.uuid ?? '0f3a8f3e-0000-4000-8000-000000000001'}</string>
	<key>Version</key><integer>1</integer>
</dict>
</plist>
`
}
