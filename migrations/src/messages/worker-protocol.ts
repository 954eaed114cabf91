import { z } from 'zod'

/**
 * What a worker says to the API (`/worker/v1`) and what it is answered. A worker authenticates `claim` with its worker
 * token (`cw_…`); every other call with the lease token (`cl_…`) of one build attempt, as `Authorization: Bearer`.
 * A stale attempt is answered 409 `lease-lost`: the worker stops its containers and forgets the build.
 */

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const Label = z.string().min(1).max(200)

/** Phases of a build in the order they run; a build without an android part skips the phases it has no use for. */
export const buildPhases = [
  'prepare',
  'fetch-source',
  'restore-cache',
  'install',
  'save-cache',
  'build-web',
  'sync-native',
  'compile',
  'sign',
  'verify',
  'upload',
] as const
export const BuildPhase = z.enum(buildPhases)
export type BuildPhase = z.infer<typeof BuildPhase>

/** What a worker may say it can do. `macos` builds for iOS. */
export const workerCapabilities = ['android', 'web', 'macos'] as const
export const WorkerCapability = z.enum(workerCapabilities)
export type WorkerCapability = z.infer<typeof WorkerCapability>

/**
 * `POST /worker/v1/report` (worker token): who a worker is and how many builds it runs at once, said at its start and
 * then every `nextReportMs`. A worker that was not heard for three times as long counts as gone.
 */
export const WorkerReport = z.strictObject({
  worker: Label,
  capabilities: z.array(WorkerCapability).min(1).max(20),
  slots: z.number().int().min(1).max(1000),
})
export type WorkerReport = z.infer<typeof WorkerReport>
export const WorkerReportAnswer = z.object({
  nextReportMs: z.number().int(),
  /** Queues to take builds from: one for each pool that the worker's capabilities fit. */
  queues: z.array(z.string()),
})
export type WorkerReportAnswer = z.infer<typeof WorkerReportAnswer>

/**
 * `POST /worker/v1/builds/{buildId}/claim`. The same `nonce` again is the same claim: a worker whose answer was lost
 * gets the attempt it was given, with a new lease token, instead of letting the lease run out.
 */
export const ClaimRequest = z.strictObject({
  worker: Label,
  capabilities: z.array(Label).max(20),
  nonce: z.uuid().optional(),
})
export type ClaimRequest = z.infer<typeof ClaimRequest>

/**
 * Where the project comes from. `archive`: a zip that the platform has checked, behind a link that works for a short time.
 * `url`: a zip that the build fetches itself; `sha256` where it was named. `git`: `ref` is a branch, a tag or a commit,
 * fetched inside the build container; with `auth` other than `none` the credential is asked for at the broker.
 */
export const BuildSourceSpec = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('archive'), url: z.url(), sha256: Sha256, sizeBytes: z.number().int() }),
  z.object({ kind: z.literal('url'), url: z.url(), sha256: Sha256.nullable(), maxBytes: z.number().int() }),
  z.object({ kind: z.literal('git'), url: z.string(), ref: z.string(), auth: z.enum(['none', 'basic', 'ssh']) }),
])
export type BuildSourceSpec = z.infer<typeof BuildSourceSpec>

export const BuildSpec = z.object({
  buildId: z.uuid(),
  appId: z.uuid(),
  orgId: z.uuid(),
  number: z.number().int(),
  platform: z.enum(['android', 'ios', 'web']),
  type: z.string().nullable(),
  /** Not secret: may stand in logs. */
  variables: z.record(z.string(), z.string()),
  /** Secret variables are to be asked for at the broker (`POST /open-secrets`, purpose `variables`), and masked. */
  hasSecretVariables: z.boolean(),
  source: BuildSourceSpec,
  /** What the native project is to be called, where it is not as the project says. */
  overrides: z.object({ displayName: z.string().optional(), packageName: z.string().optional() }).optional(),
  /** Hosts of the app's own that the build may call, besides those of the worker: `host` or `*.host`. */
  egressHosts: z.array(z.string().max(260)).max(100).optional(),
  /**
   * Whether the build uses a cache of dependencies; absent: none. `read`: the source is not one that members of the app
   * chose, so such a build leaves nothing in the cache.
   */
  cache: z.enum(['read', 'read-write']).optional(),
  /** Present when the output is to be signed; the credential is opened at the broker in the phase `sign`. */
  signing: z.object({ credentialId: z.uuid(), credentialVersion: z.number().int(), name: z.string() }).nullable(),
  limits: z.object({
    memoryBytes: z.number().int(),
    cpus: z.number(),
    pids: z.number().int(),
    diskBytes: z.number().int(),
    wallClockMs: z.number().int(),
    /** Of the log in all, see `LOG_LINE_BYTES`; what comes after is counted, not kept. */
    logBytes: z.number().int().optional(),
  }),
})
export type BuildSpec = z.infer<typeof BuildSpec>

export const Claim = z.object({
  lease: z.object({ id: z.uuid(), token: z.string(), expiresAt: z.iso.datetime() }),
  attempt: z.number().int().min(1),
  spec: BuildSpec,
})
export type Claim = z.infer<typeof Claim>

/** `POST /worker/v1/lease/heartbeat`, every 15 s; a lease lives 60 s. */
export const HeartbeatResponse = z.object({ expiresAt: z.iso.datetime(), cancelRequested: z.boolean() })
export type HeartbeatResponse = z.infer<typeof HeartbeatResponse>

/** `POST /worker/v1/lease/source`: what the build fetched itself; shown on the build and named in its provenance. */
export const SourceReport = z.strictObject({
  commitSha: z
    .string()
    .regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/)
    .optional(),
  commitMessage: z.string().max(2000).optional(),
  sha256: Sha256.optional(),
  sizeBytes: z.number().int().min(0).optional(),
})
export type SourceReport = z.infer<typeof SourceReport>

/** Said when a phase starts and again when it ends. */
export const PhaseReport = z.strictObject({
  phase: BuildPhase,
  state: z.enum(['started', 'succeeded', 'failed', 'skipped']),
  at: z.iso.datetime(),
  detail: z.string().max(2000).optional(),
})
export type PhaseReport = z.infer<typeof PhaseReport>

/** In the order they were made: each phase starts, ends or is skipped once an attempt. */
const PhaseReports = z
  .array(PhaseReport)
  .min(1)
  .max(2 * buildPhases.length)
/** `POST /worker/v1/lease/phases`: one report, or several that are stored together. Reports may be repeated. */
export const PhasesBody = z.union([PhaseReport, PhaseReports])

/** Of a log's limit, what a line takes besides its text: it is kept with a number, a time and a phase, however short it is. */
export const LOG_LINE_BYTES = 100

/** `POST /worker/v1/lease/logs`: `batch` counts from 1 per attempt, so a batch sent twice is stored once. */
export const LogBatch = z.strictObject({
  batch: z.number().int().min(1),
  lines: z
    .array(z.strictObject({ at: z.iso.datetime(), phase: BuildPhase, text: z.string().max(16_384) }))
    .min(1)
    .max(1000),
})
export type LogBatch = z.infer<typeof LogBatch>

/**
 * `POST /worker/v1/lease/artifacts` answers where to PUT the bytes; `POST /worker/v1/lease/artifacts/{id}/finalize`
 * makes the control plane read, hash and compare what arrived.
 */
export const ArtifactDeclaration = z.strictObject({
  type: z.enum(['apk', 'aab', 'ipa', 'zip']),
  fileName: z.string().regex(/^[\w.\- ]{1,128}$/),
  mimeType: z.string().max(200),
  sizeBytes: z.number().int().min(1),
  sha256: Sha256,
  packageName: z.string().max(255).optional(),
})
export type ArtifactDeclaration = z.infer<typeof ArtifactDeclaration>
export const ArtifactUpload = z.object({ artifactId: z.uuid(), uploadUrl: z.url() })
export type ArtifactUpload = z.infer<typeof ArtifactUpload>

/**
 * `POST /worker/v1/lease/caches/find`: is there a cache of dependencies for this build? The API adds what it knows itself
 * (organization, app, trust tier, branch) to what is asked here, so a worker cannot ask for another app's.
 */
export const CacheQuestion = z.strictObject({
  packageManager: z.enum(['npm', 'pnpm', 'yarn', 'yarn-berry', 'bun']),
  lockfileSha256: Sha256,
  /** Of the builder image, as the container engine names it. */
  imageId: z.string().regex(/^sha256:[0-9a-f]{64}$/),
})
export type CacheQuestion = z.infer<typeof CacheQuestion>

/** `hit`: fetched by the link, compared, then unpacked. `miss`: up to `maxBytes` may be left for the next; null: nothing. */
export const CacheAnswer = z.discriminatedUnion('state', [
  z.object({ state: z.literal('hit'), url: z.url(), sha256: Sha256, sizeBytes: z.number().int() }),
  z.object({ state: z.literal('miss'), maxBytes: z.number().int().nullable() }),
  z.object({ state: z.literal('off'), reason: z.string() }),
])
export type CacheAnswer = z.infer<typeof CacheAnswer>

/**
 * `POST /worker/v1/lease/caches` answers where to PUT an archive (tar); `POST /worker/v1/lease/caches/{id}/finalize` makes
 * the control plane hash and compare it. It counts once the build has succeeded.
 */
export const CacheDeclaration = CacheQuestion.extend({ sizeBytes: z.number().int().min(1), sha256: Sha256 })
export type CacheDeclaration = z.infer<typeof CacheDeclaration>
export const CacheUpload = z.object({ cacheId: z.uuid(), uploadUrl: z.url() })
export type CacheUpload = z.infer<typeof CacheUpload>

/** `POST /worker/v1/lease/caches/report`: what the cache took and saved. `refused`: it was not what had been stored. */
export const CacheReport = z.strictObject({
  refused: z.boolean().default(false),
  sizeBytes: z.number().int().min(0).optional(),
  restoreMs: z.number().int().min(0).optional(),
  installMs: z.number().int().min(0).optional(),
  saveMs: z.number().int().min(0).optional(),
})
export type CacheReport = z.infer<typeof CacheReport>

/**
 * `POST /worker/v1/lease/finish`. `retryable` asks for another attempt: the fault was the platform's, not the build's.
 * `phases` and `logs` are what the attempt has not said yet; they are stored with its end, in one transaction.
 */
export const FinishReport = z.strictObject({
  status: z.enum(['succeeded', 'failed', 'canceled', 'timed_out']),
  code: z
    .string()
    .regex(/^[a-z0-9-]{1,60}$/)
    .optional(),
  message: z.string().max(2000).optional(),
  retryable: z.boolean().default(false),
  phases: PhaseReports.optional(),
  logs: LogBatch.optional(),
})
export type FinishReport = z.infer<typeof FinishReport>

/** `POST /worker/v1/builds/{buildId}/waiting` (worker token): why a delivered build is not started; shown to the user. */
export const WaitingReport = z.strictObject({
  code: z.enum(['container-engine-unavailable']),
  message: z.string().max(500),
})
export type WaitingReport = z.infer<typeof WaitingReport>

/**
 * `POST /open` on the broker's `open` socket, `Authorization: Bearer <lease token>`: one credential version, for one live
 * lease, once. Every refusal is 403 with the same body. The answer is the whole secret payload.
 */
export const OpenCredentialRequest = z.strictObject({
  credentialId: z.uuid(),
  credentialVersion: z.number().int(),
  attempt: z.number().int(),
  step: BuildPhase,
})
export type OpenCredentialRequest = z.infer<typeof OpenCredentialRequest>

/**
 * Plaintext of a credential's envelope (JSON): the uploaded file with its passwords, and the same key and chain as
 * PKCS#8 and X.509 (DER, the key's own certificate first; empty where a kind has none).
 */
export const KeystorePayload = z.strictObject({
  fileB64: z.string(),
  filename: z.string(),
  password: z.string(),
  keyAlias: z.string(),
  keyPassword: z.string(),
  keyPkcs8B64: z.string().optional(),
  chainDerB64: z.array(z.string()).optional(),
})
export type KeystorePayload = z.infer<typeof KeystorePayload>

/**
 * `POST /open-secrets` on the broker's `open` socket, `Authorization: Bearer <lease token>`: what a live lease needs beside
 * its signing credential, each purpose once. Every refusal is 403 with the same body.
 */
export const OpenSecretsRequest = z.strictObject({
  attempt: z.number().int(),
  purpose: z.enum(['variables', 'source']),
})
export type OpenSecretsRequest = z.infer<typeof OpenSecretsRequest>

/** Answer for `variables`: the environment's secrets, with those of the build itself over them. */
export const SecretVariables = z.strictObject({ variables: z.record(z.string(), z.string()) })
export type SecretVariables = z.infer<typeof SecretVariables>

/** Answer for `source`. `knownHosts` are lines as of OpenSSH: a host that is not among them is not spoken to. */
export const GitCredential = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('basic'), username: z.string(), password: z.string() }),
  z.strictObject({ kind: z.literal('ssh'), privateKey: z.string(), knownHosts: z.string() }),
])
export type GitCredential = z.infer<typeof GitCredential>
