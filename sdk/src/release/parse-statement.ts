import { ReleaseError } from './release-error.js'
import {
  type ChannelStatement,
  channelStatementLifetimeMs,
  type Platform,
  platforms,
  type ReleaseStatement,
  type RootStatement,
} from './statements.js'

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/
const digest = /^[0-9a-f]{64}$/
const maximumFiles = 10_000
const maximumKeys = 3

function malformed(what: string): never {
  throw new ReleaseError('STATEMENT_MALFORMED', `The statement is malformed: ${what}.`)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0
}

/** One JSON object, read field by field; whatever has another type than expected is refused. */
class Fields {
  readonly #fields: Record<string, unknown>
  readonly #where: string

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) malformed(`${where} is not an object`)
    this.#fields = value as Record<string, unknown>
    this.#where = where
  }

  get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined
  }

  #read<T>(name: string, accepts: (value: unknown) => value is T, what: string): T {
    const value = this.get(name)
    if (!accepts(value)) malformed(`${this.#where}.${name} is not ${what}`)
    return value
  }

  text(name: string): string {
    const accepts = (value: unknown): value is string => isText(value) && value.length <= 1024
    return this.#read(name, accepts, 'a text')
  }

  optionalText(name: string): string | null {
    return (this.get(name) ?? null) === null ? null : this.text(name)
  }

  integer(name: string, minimum: number): number {
    const accepts = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= minimum
    return this.#read(name, accepts, 'a whole number in range')
  }

  fraction(name: string): number {
    const accepts = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1
    return this.#read(name, accepts, 'a number from 0 to 1')
  }

  digest(name: string): string {
    const accepts = (value: unknown): value is string => isText(value) && digest.test(value)
    return this.#read(name, accepts, 'a SHA-256 in lower-case hex')
  }

  time(name: string): string {
    const accepts = (value: unknown): value is string =>
      isText(value) && time.test(value) && !Number.isNaN(Date.parse(value))
    return this.#read(name, accepts, 'a UTC time')
  }

  list(name: string, maximum: number, minimum = 1): unknown[] {
    const accepts = (value: unknown): value is unknown[] =>
      Array.isArray(value) && value.length >= minimum && value.length <= maximum
    return this.#read(name, accepts, `a list of ${minimum} to ${maximum}`)
  }

  texts(name: string, maximum: number, minimum = 1): string[] {
    return this.list(name, maximum, minimum).map((value) =>
      typeof value === 'string' && value.length > 0
        ? value
        : malformed(`${this.#where}.${name} holds something that is not a text`),
    )
  }

  platform(value: unknown): Platform {
    const found = platforms.find((name) => name === value)
    return found ?? malformed(`${this.#where} names an unknown platform`)
  }
}

function readFields(payload: Uint8Array, type: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload))
  } catch {
    malformed('it is not JSON in UTF-8')
  }
  const fields = new Fields(value, 'statement')
  if (fields.get('_type') !== type) malformed(`its _type is not ${type}`)
  return fields
}

/**
 * Parses the payload of a release statement; call it on verified bytes only. Unknown fields are ignored.
 *
 * @throws {ReleaseError} `STATEMENT_MALFORMED`
 */
export function parseReleaseStatement(payload: Uint8Array): ReleaseStatement {
  const fields = readFields(payload, 'capstan-release/v1')
  const archive = new Fields(fields.get('archive'), 'archive')
  const files = fields.list('files', maximumFiles).map((value) => {
    const file = new Fields(value, 'file')
    return { path: file.text('path'), sha256: file.digest('sha256'), size: file.integer('size', 0) }
  })
  if (new Set(files.map((file) => file.path)).size !== files.length) malformed('a file is listed twice')
  return {
    _type: 'capstan-release/v1',
    appId: fields.text('appId'),
    platforms: fields.list('platforms', platforms.length).map((value) => fields.platform(value)),
    channels: fields.texts('channels', 100),
    bundleId: fields.text('bundleId'),
    sequence: fields.integer('sequence', 1),
    createdAt: fields.time('createdAt'),
    expiresAt: fields.time('expiresAt'),
    minNativeVersion: fields.optionalText('minNativeVersion'),
    maxNativeVersion: fields.optionalText('maxNativeVersion'),
    rootVersion: fields.integer('rootVersion', 1),
    restores: fields.optionalText('restores'),
    provenance: fields.get('provenance') ?? null,
    archive: { sha256: archive.digest('sha256'), size: archive.integer('size', 1) },
    files,
  }
}

/**
 * Parses the payload of a channel statement; call it on verified bytes only.
 *
 * @throws {ReleaseError} `STATEMENT_MALFORMED`, also when it lives longer than 24 hours
 */
export function parseChannelStatement(payload: Uint8Array): ChannelStatement {
  const fields = readFields(payload, 'capstan-channel/v1')
  const release = new Fields(fields.get('release'), 'release')
  const rollout = new Fields(fields.get('rollout'), 'rollout')
  const issuedAt = fields.time('issuedAt')
  const expiresAt = fields.time('expiresAt')
  const life = Date.parse(expiresAt) - Date.parse(issuedAt)
  if (life <= 0 || life > channelStatementLifetimeMs) malformed('it must live more than nothing and at most 24 hours')
  return {
    _type: 'capstan-channel/v1',
    appId: fields.text('appId'),
    channel: fields.text('channel'),
    platform: fields.platform(fields.get('platform')),
    release: { sha256: release.digest('sha256'), sequence: release.integer('sequence', 1) },
    rollout: { deploymentId: rollout.text('deploymentId'), percentage: rollout.fraction('percentage') },
    issuedAt,
    expiresAt,
  }
}

/**
 * Parses the payload of a root statement; call it on verified bytes only, or on what is being checked against itself.
 *
 * @throws {ReleaseError} `STATEMENT_MALFORMED`
 */
export function parseRootStatement(payload: Uint8Array): RootStatement {
  const fields = readFields(payload, 'capstan-root/v1')
  return {
    _type: 'capstan-root/v1',
    appId: fields.text('appId'),
    version: fields.integer('version', 1),
    createdAt: fields.time('createdAt'),
    releaseKeys: fields.texts('releaseKeys', maximumKeys),
    platformKeys: fields.texts('platformKeys', maximumKeys),
    revokedBundleIds: fields.texts('revokedBundleIds', 1000, 0),
  }
}
