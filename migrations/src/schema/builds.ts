import { bigint, boolean, integer, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { jobStatuses } from '../transitions.js'
import { at, createdAt, id, orgId, updatedAt } from './columns.js'

export const uploads = pgTable('uploads', {
  id: text('id').primaryKey(),
  orgId: orgId(),
  targetKind: text('target_kind', { enum: ['build-source', 'bundle-file'] }).notNull(),
  targetId: uuid('target_id').notNull(),
  status: text('status', { enum: ['open', 'completed'] })
    .notNull()
    .default('open'),
  createdAt: createdAt(),
  completedAt: at('completed_at'),
})

export const uploadParts = pgTable(
  'upload_parts',
  {
    orgId: orgId(),
    uploadId: text('upload_id').notNull(),
    partNumber: integer('part_number').notNull(),
    objectKey: text('object_key').notNull(),
    sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
    sha256: text('sha256').notNull(),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.uploadId, table.partNumber] })],
)

export const buildSources = pgTable('build_sources', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  type: text('type', { enum: ['archive', 'git', 'url'] }).notNull(),
  status: text('status', { enum: ['pending', 'ready'] })
    .notNull()
    .default('pending'),
  fileSizeBytes: bigint('file_size_bytes', { mode: 'number' }),
  sha256: text('sha256'),
  objectKey: text('object_key'),
  /** Of a source that the build fetches itself. */
  remoteUrl: text('remote_url'),
  gitRef: text('git_ref'),
  gitConnectionId: uuid('git_connection_id'),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
})

/** What a native project is called; absent: as the project says. */
export type NativeNames = { displayName?: string; packageName?: string }

/** `constraints`: the native versions an artefact fits, as the CLI sends them. `git`: ref, commit sha, message. */
export const builds = pgTable('builds', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  number: integer('number').notNull(),
  platform: text('platform', { enum: ['android', 'ios', 'web'] }).notNull(),
  type: text('type'),
  displayName: text('display_name'),
  packageName: text('package_name'),
  buildSourceId: uuid('build_source_id'),
  credentialId: uuid('credential_id'),
  credentialVersion: integer('credential_version'),
  variables: jsonb('variables').$type<Record<string, string>>().notNull().default({}),
  customProperties: jsonb('custom_properties').$type<Record<string, string>>().notNull().default({}),
  constraints: jsonb('constraints').$type<Record<string, string>>().notNull().default({}),
  git: jsonb('git').$type<Record<string, string>>().notNull().default({}),
  environmentId: uuid('environment_id'),
  configurationId: uuid('configuration_id'),
  native: jsonb('native').$type<NativeNames>().notNull().default({}),
  useCache: boolean('use_cache').notNull().default(true),
  timeoutMinutes: integer('timeout_minutes').notNull().default(60),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

/** Which workers take a job: those for Android and the web, or those with macOS. */
export const workerPools = ['standard', 'macos'] as const
export type WorkerPool = (typeof workerPools)[number]

/** Package managers whose downloads can be kept for the next build. */
export const cachedManagers = ['npm', 'pnpm', 'yarn', 'yarn-berry', 'bun'] as const
export const cacheTiers = ['members', 'release'] as const

/**
 * What the cache of dependencies did for the last attempt of a job, in milliseconds. `off`: it was left out because it costs
 * more than it saves. `refused`: it was not what had been stored.
 */
export type JobCache = {
  key: string
  tier: (typeof cacheTiers)[number]
  packageManager: (typeof cachedManagers)[number]
  outcome: 'hit' | 'miss' | 'refused' | 'off'
  cacheId?: string
  sizeBytes?: number | undefined
  restoreMs?: number | undefined
  installMs?: number | undefined
  saveMs?: number | undefined
}

export const jobs = pgTable('jobs', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  buildId: uuid('build_id').notNull(),
  status: text('status', { enum: jobStatuses }).notNull().default('queued'),
  statusCode: text('status_code'),
  statusMessage: text('status_message'),
  attempt: integer('attempt').notNull().default(0),
  maxAttempts: integer('max_attempts').notNull().default(2),
  nextLogNumber: integer('next_log_number').notNull().default(1),
  logBytes: bigint('log_bytes', { mode: 'number' }).notNull().default(0),
  logLinesDropped: bigint('log_lines_dropped', { mode: 'number' }).notNull().default(0),
  logStoredAt: at('log_stored_at'),
  cache: jsonb('cache').$type<JobCache>(),
  cancelRequestedAt: at('cancel_requested_at'),
  createdBy: uuid('created_by'),
  queuedAt: at('queued_at').notNull().defaultNow(),
  dueAt: at('due_at').notNull().defaultNow(),
  pool: text('pool', { enum: workerPools }).notNull().default('standard'),
  pendingAt: at('pending_at'),
  inProgressAt: at('in_progress_at'),
  finishedAt: at('finished_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const jobPhases = pgTable(
  'job_phases',
  {
    orgId: orgId(),
    jobId: uuid('job_id').notNull(),
    attempt: integer('attempt').notNull(),
    phase: text('phase').notNull(),
    state: text('state', { enum: ['started', 'succeeded', 'failed', 'skipped'] }).notNull(),
    detail: text('detail'),
    startedAt: at('started_at').notNull(),
    finishedAt: at('finished_at'),
  },
  (table) => [primaryKey({ columns: [table.jobId, table.attempt, table.phase] })],
)

export type LogLine = { number: number; at: string; phase: string; text: string }

export const jobLogs = pgTable(
  'job_logs',
  {
    orgId: orgId(),
    jobId: uuid('job_id').notNull(),
    attempt: integer('attempt').notNull(),
    batch: integer('batch').notNull(),
    firstNumber: integer('first_number').notNull(),
    lastNumber: integer('last_number').notNull(),
    lines: jsonb('lines').$type<LogLine[]>().notNull(),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.jobId, table.attempt, table.batch] })],
)

/** A part of a log object: the lines `first` to `last`, at a place of its own in the object. */
export type LogChunk = { first: number; last: number; offset: number; bytes: number; sha256: string }

export const jobLogObjects = pgTable('job_log_objects', {
  jobId: uuid('job_id').primaryKey(),
  orgId: orgId(),
  objectKey: text('object_key').notNull(),
  sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
  sha256: text('sha256').notNull(),
  lastNumber: integer('last_number').notNull(),
  chunks: jsonb('chunks').$type<LogChunk[]>().notNull(),
  rowsDeletedAt: at('rows_deleted_at'),
  createdAt: createdAt(),
})

export const leases = pgTable('leases', {
  id: id(),
  orgId: orgId(),
  jobId: uuid('job_id').notNull(),
  buildId: uuid('build_id').notNull(),
  attempt: integer('attempt').notNull(),
  workerId: uuid('worker_id').notNull(),
  workerName: text('worker_name').notNull(),
  tokenHash: text('token_hash').notNull(),
  binding: text('binding').notNull(),
  claimNonce: uuid('claim_nonce'),
  expiresAt: at('expires_at').notNull(),
  endedAt: at('ended_at'),
  createdAt: createdAt(),
})

export const credentialOpens = pgTable(
  'credential_opens',
  {
    orgId: orgId(),
    leaseId: uuid('lease_id').notNull(),
    credentialVersionId: uuid('credential_version_id').notNull(),
    step: text('step').notNull(),
    openedAt: at('opened_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.leaseId, table.credentialVersionId] })],
)

export const secretOpens = pgTable(
  'secret_opens',
  {
    orgId: orgId(),
    leaseId: uuid('lease_id').notNull(),
    purpose: text('purpose', { enum: ['variables', 'source'] }).notNull(),
    openedAt: at('opened_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.leaseId, table.purpose] })],
)

export const artifacts = pgTable('artifacts', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  buildId: uuid('build_id').notNull(),
  attempt: integer('attempt').notNull(),
  type: text('type', { enum: ['apk', 'aab', 'ipa', 'zip'] }).notNull(),
  status: text('status', { enum: ['pending', 'ready', 'discarded'] })
    .notNull()
    .default('pending'),
  fileName: text('file_name').notNull(),
  fileMimeType: text('file_mime_type').notNull(),
  fileSizeBytes: bigint('file_size_bytes', { mode: 'number' }).notNull(),
  sha256: text('sha256').notNull(),
  objectKey: text('object_key').notNull(),
  expiredAt: at('expired_at'),
  createdAt: createdAt(),
})

export const dependencyCaches = pgTable('dependency_caches', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  buildId: uuid('build_id').notNull(),
  attempt: integer('attempt').notNull(),
  key: text('key').notNull(),
  tier: text('tier', { enum: cacheTiers }).notNull(),
  branch: text('branch').notNull(),
  packageManager: text('package_manager', { enum: cachedManagers }).notNull(),
  status: text('status', { enum: ['pending', 'stored', 'ready'] })
    .notNull()
    .default('pending'),
  sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
  sha256: text('sha256').notNull(),
  objectKey: text('object_key').notNull(),
  lastUsedAt: at('last_used_at').notNull().defaultNow(),
  createdAt: createdAt(),
})

export const buildShares = pgTable('build_shares', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  buildId: uuid('build_id').notNull(),
  description: text('description'),
  expiresAt: at('expires_at'),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
})

export const artifactProvenance = pgTable('artifact_provenance', {
  artifactId: uuid('artifact_id').primaryKey(),
  orgId: orgId(),
  envelope: jsonb('envelope').$type<Record<string, unknown>>().notNull(),
  createdAt: createdAt(),
})

export const discardedObjects = pgTable('discarded_objects', {
  id: id(),
  orgId: orgId(),
  key: text('key').notNull(),
  createdAt: createdAt(),
})

export const outbox = pgTable('outbox', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  orgId: orgId(),
  topic: text('topic').notNull(),
  payload: jsonb('payload').$type<Record<string, unknown>>().notNull(),
  createdAt: createdAt(),
  sentAt: at('sent_at'),
})
