import { integer, jsonb, pgTable, primaryKey, smallint, text, uuid } from 'drizzle-orm/pg-core'
import { rolloutStatuses } from '../transitions.js'
import { at, createdAt, id, orgId, updatedAt } from './columns.js'

export const appRoots = pgTable(
  'app_roots',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    version: integer('version').notNull(),
    envelope: jsonb('envelope').$type<Record<string, unknown>>().notNull(),
    sha256: text('sha256').notNull(),
    createdBy: uuid('created_by'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.appId, table.version] })],
)

/** One step of a rollout: the share of devices (0 to 1) and how long it stays there. */
export type RolloutStep = { percentage: number; dwellMs: number }

/** When a rollout stops by itself. */
export type HaltRule = {
  /** The chance to stop a rollout that is no worse than what it replaces, over its whole life. */
  falseAlarms: number
  /** How much more often than the control a candidate may fail before that counts as worse, as a share of launches. */
  tolerance: number
  /** The share of failed launches that is too many whatever the control does. */
  ceiling: number
  /** So many launches must have been reported before a step is left. */
  minimumLaunches: number
}

/** Launches that were reported: `failed` includes the blocked. */
export type LaunchTally = { confirmed: number; failed: number }
export type LaunchPair = { candidate: LaunchTally; control: LaunchTally }

export const rollouts = pgTable('rollouts', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  appChannelId: uuid('app_channel_id').notNull(),
  appBuildId: uuid('app_build_id').notNull(),
  bundleId: uuid('bundle_id').notNull(),
  status: text('status', { enum: rolloutStatuses }).notNull().default('scheduled'),
  startsAt: at('starts_at').notNull(),
  steps: jsonb('steps').$type<RolloutStep[]>().notNull(),
  step: integer('step').notNull().default(0),
  stepStartedAt: at('step_started_at'),
  haltRule: jsonb('halt_rule').$type<HaltRule>().notNull(),
  /** Launches that were judged already when a person resumed a halted rollout. */
  baseline: jsonb('baseline').$type<LaunchPair>().notNull(),
  deploymentId: uuid('deployment_id'),
  controlDeploymentId: uuid('control_deployment_id'),
  changeRequestId: uuid('change_request_id'),
  reason: text('reason'),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
  lookedAt: at('looked_at'),
  endedAt: at('ended_at'),
})

export const rolloutDecisions = pgTable('rollout_decisions', {
  id: id(),
  orgId: orgId(),
  rolloutId: uuid('rollout_id').notNull(),
  step: integer('step').notNull(),
  decision: text('decision').notNull(),
  evidence: jsonb('evidence').$type<Record<string, unknown>>().notNull(),
  reason: text('reason').notNull(),
  decidedBy: uuid('decided_by'),
  createdAt: createdAt(),
})

export const deviceTokens = pgTable(
  'device_tokens',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    deviceId: text('device_id').notNull(),
    tokenHash: text('token_hash').notNull(),
    createdAt: createdAt(),
    lastUsedAt: at('last_used_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.appId, table.deviceId] })],
)

export const launchOutcomes = ['confirmed', 'failed', 'blocked'] as const
export type LaunchOutcome = (typeof launchOutcomes)[number]

export const launchResults = pgTable(
  'launch_results',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    bundleId: uuid('bundle_id').notNull(),
    deviceId: text('device_id').notNull(),
    deploymentId: uuid('deployment_id').notNull(),
    outcome: text('outcome', { enum: launchOutcomes }).notNull(),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.bundleId, table.deviceId] })],
)

export const launchCounts = pgTable(
  'launch_counts',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    deploymentId: uuid('deployment_id').notNull(),
    bucket: at('bucket').notNull(),
    shard: smallint('shard').notNull(),
    confirmed: integer('confirmed').notNull().default(0),
    failed: integer('failed').notNull().default(0),
    blocked: integer('blocked').notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.deploymentId, table.bucket, table.shard] })],
)

/** Devices that ran a bundle; null is the built-in one, or one that this app does not know. */
export type BundleShare = { bundleId: string | null; devices: number }
export type VersionShare = { platform: number; appVersionName: string | null; devices: number }

export const appActivity = pgTable(
  'app_activity',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    bucket: at('bucket').notNull(),
    activeDay: integer('active_day').notNull(),
    activeWeek: integer('active_week').notNull(),
    activeMonth: integer('active_month').notNull(),
    bundles: jsonb('bundles').$type<BundleShare[]>().notNull(),
    versions: jsonb('versions').$type<VersionShare[]>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.appId, table.bucket] })],
)
