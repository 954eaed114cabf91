import { openEnvelope, ReleaseError, type TrustedKey } from '../release/index.js'

/** Type of the DSSE payload: an in-toto statement. */
const provenanceType = 'application/vnd.in-toto+json'
const statementType = 'https://in-toto.io/Statement/v1'
const predicateType = 'https://slsa.dev/provenance/v1'

/** What must be so, beside the signature. */
export interface ExpectedProvenance {
  /** SHA-256 of the file in lower-case hex. */
  sha256: string
  /** Id of the app. */
  app?: string
  /** Full hash of the git commit. */
  commit?: string
  /** Public address of the platform. */
  builder?: string
}

/** What the platform states of an artefact. */
export interface ProvenanceFacts {
  app: string
  build: string
  builder: string
  /** Addresses of what went into the build, each with its digest where one is known. */
  sources: string[]
}

type Json = Record<string, unknown>

/** A field that a statement of this kind has: `path` is dotted. */
function field(value: unknown, path: string): unknown {
  let found = value
  for (const name of path.split('.')) {
    found =
      typeof found === 'object' && found !== null && Object.hasOwn(found, name) ? (found as Json)[name] : undefined
  }
  return found
}

function text(value: unknown, path: string): string {
  const found = field(value, path)
  if (typeof found === 'string') return found
  throw new ReleaseError('STATEMENT_MALFORMED', `The provenance says nothing in ${path}.`)
}

function list(value: unknown, path: string): unknown[] {
  const found = field(value, path)
  return Array.isArray(found) ? found : []
}

/**
 * Checks a provenance envelope against a file that the caller hashed. Bytes are verified before they are parsed.
 *
 * @throws {ReleaseError} `SIGNATURE_MISSING`, `BAD_SIGNATURE`, `ENVELOPE_*`, `STATEMENT_MALFORMED`, `HASH_MISMATCH`,
 *   `WRONG_APP`, `WRONG_COMMIT`, `WRONG_BUILDER`
 */
export async function readProvenance(
  envelope: unknown,
  key: TrustedKey,
  expected: ExpectedProvenance,
): Promise<ProvenanceFacts> {
  // [V1] the platform signed exactly these bytes
  const { payload } = await openEnvelope(envelope, provenanceType, [key])
  const statement = parse(payload)
  // [V2] a statement of this kind, not another one that the key may sign
  if (field(statement, '_type') !== statementType || field(statement, 'predicateType') !== predicateType) {
    throw new ReleaseError('STATEMENT_MALFORMED', 'The envelope holds no SLSA provenance of version 1.')
  }
  // [V3] about this file and no other
  const subjects = list(statement, 'subject')
  if (subjects.length !== 1 || field(subjects[0], 'digest.sha256') !== expected.sha256) {
    throw new ReleaseError('HASH_MISMATCH', 'The provenance is about another file.')
  }
  const definition = 'predicate.buildDefinition'
  const facts = {
    app: text(statement, `${definition}.externalParameters.app`),
    build: text(statement, `${definition}.internalParameters.build`),
    builder: text(statement, 'predicate.runDetails.builder.id'),
  }
  const dependencies = list(statement, `${definition}.resolvedDependencies`)
  // [V4] of the app that was expected
  if (expected.app !== undefined && facts.app !== expected.app) {
    throw new ReleaseError('WRONG_APP', `The file was built for the app ${facts.app}.`)
  }
  // [V5] from the commit that was expected
  const commits = dependencies.map((dependency) => field(dependency, 'digest.gitCommit'))
  if (expected.commit !== undefined && !commits.includes(expected.commit)) {
    throw new ReleaseError('WRONG_COMMIT', `The file was not built from the commit ${expected.commit}.`)
  }
  // [V6] by the platform that was expected
  if (expected.builder !== undefined && !facts.builder.startsWith(`${expected.builder.replace(/\/$/, '')}/`)) {
    throw new ReleaseError('WRONG_BUILDER', `The file was built by ${facts.builder}.`)
  }
  return { ...facts, sources: dependencies.map(describe) }
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    throw new ReleaseError('STATEMENT_MALFORMED', 'The provenance is not JSON in UTF-8.')
  }
}

function describe(dependency: unknown): string {
  const digest = field(dependency, 'digest.gitCommit') ?? field(dependency, 'digest.sha256')
  const uri = text(dependency, 'uri')
  return typeof digest === 'string' ? `${uri} (${digest})` : uri
}
