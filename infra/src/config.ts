import { tmpdir, userInfo } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folder of the checkout. */
const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

export interface Config {
  readonly checkout: string
  readonly dataDir: string
  readonly tempDir: string
  readonly isRoot: boolean
  readonly user: string
  /** Existing servers to use in place of own ones. */
  readonly databaseUrl: string | undefined
  readonly redisUrl: string | undefined
  readonly dockerHost: string | undefined
  /** Object store settings handed on to the API as they are. */
  readonly objectStore: Readonly<Record<string, string>>
  /** AWS KMS as the root of all keys, handed on to the broker alone; none: the local master key is the root. */
  readonly rootKeys: Readonly<Record<string, string>>
  /** Which hosts builds may call; handed on to the worker as they are. */
  readonly egress: Readonly<Record<string, string>>
  /** Where mail is handed over; none: nothing is mailed. */
  readonly mail: Readonly<Record<string, string>>
  /** `COUNTRY_DATABASE_FILE` of the API. */
  readonly countries: Readonly<Record<string, string>>
  /** Hosts of the operator's own network that organizations may have called; handed on to api and control. */
  readonly outbound: Readonly<Record<string, string>>
  /** PEM bundle of the network's own authorities. */
  readonly extraCaFile: string | undefined
  readonly logLevel: string
  /** What every child process inherits; nothing else of the caller's environment reaches them. */
  readonly baseEnv: Readonly<Record<string, string>>
  /** Where Go's and Python's packages come from: for tests alone, which make servers of others from them. */
  readonly registries: Readonly<Record<string, string>>
}

const objectStoreNames = [
  'S3_BUCKET',
  'S3_ENDPOINT',
  'AWS_REGION',
  'KMS_KEY_ID',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_PROFILE',
]
const egressNames = ['EGRESS_HOSTS', 'EGRESS_PRIVATE_HOSTS', 'EGRESS_APP_HOSTS']
const inheritedNames = [
  'PATH',
  'LANG',
  'LC_ALL',
  'TZ',
  'TERM',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'CHROMIUM_PATH',
  'HTTP_PROXY',
  // How much tests and measurements do.
  'LONG_RUNS',
  'BENCH_ROUNDS',
  'BENCH_SCALE',
  'BENCH_SECONDS',
]
const registryNames = ['GOPROXY', 'GOSUMDB', 'PIP_INDEX_URL', 'PIP_CERT', 'PIP_CONFIG_FILE']
const proxyNames = ['HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy']

/** `KMS_KEY_ID` is the key of the bucket; the broker's root has a name of its own. */
function rootKeysOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const keyId = env['BROKER_KMS_KEY_ID']
  if (!keyId) return {}
  const names = ['KMS_OLD_KEY_IDS', 'KMS_ENDPOINT', 'AWS_REGION', 'AWS_SHARED_CREDENTIALS_FILE']
  const profile = env['BROKER_AWS_PROFILE']
  return { KMS_KEY_ID: keyId, ...pick(env, names), ...(profile ? { AWS_PROFILE: profile } : {}) }
}

/** Processes run in a folder of their own, where a relative path leads elsewhere. */
function mailOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const passwordFile = env['SMTP_PASSWORD_FILE']
  return {
    ...pick(env, ['SMTP_URL', 'MAIL_FROM']),
    ...(passwordFile ? { SMTP_PASSWORD_FILE: resolve(passwordFile) } : {}),
  }
}

/** The same of a database that was downloaded somewhere. */
function countriesOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const file = env['COUNTRY_DATABASE_FILE']
  return file ? { COUNTRY_DATABASE_FILE: resolve(file) } : {}
}

function pick(env: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  const entries = names.flatMap((name) => (env[name] ? [[name, env[name]] as const] : []))
  return Object.fromEntries(entries)
}

/** Programs of the system's own folders are found although the caller's PATH may lack them. */
function withSystemFolders(path = ''): string {
  const folders = path.split(':').filter(Boolean)
  return [...folders, ...['/usr/sbin', '/sbin'].filter((folder) => !folders.includes(folder))].join(':')
}

export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  return {
    checkout,
    dataDir: join(checkout, '.capstan'),
    tempDir: tmpdir(),
    isRoot: process.getuid?.() === 0,
    user: userInfo().username,
    databaseUrl: env['DATABASE_URL'] || undefined,
    redisUrl: env['REDIS_URL'] || undefined,
    dockerHost: env['DOCKER_HOST'] || undefined,
    objectStore: pick(env, objectStoreNames),
    rootKeys: rootKeysOf(env),
    egress: pick(env, egressNames),
    mail: mailOf(env),
    countries: countriesOf(env),
    outbound: pick(env, ['OUTBOUND_PRIVATE_HOSTS']),
    extraCaFile: env['NODE_EXTRA_CA_CERTS'] || undefined,
    logLevel: env['LOG_LEVEL'] || 'info',
    registries: pick(env, registryNames),
    baseEnv: { ...pick(env, [...inheritedNames, ...proxyNames]), PATH: withSystemFolders(env['PATH']) },
  }
}
