import type { BuildSpec } from '@capstan/migrations/messages'
import type { LeaseClient } from './api-client.js'
import type { BrokerClient } from './broker-client.js'
import type { ContainerEngine, Labels } from './container-engine.js'
import type { Egress } from './egress/open-egress.js'
import type { Resolve } from './egress/connect-out.js'
import type { HostPolicy } from './egress/host-policy.js'
import type { LogPump } from './log-pump.js'
import type { SecretSet } from './mask.js'
import type { PhaseReports } from './phase-reports.js'

export const sourceDir = '/work/source'
/** Files of the worker's own inside a build container. */
export const toolDir = '/work/.capstan'

/** One attempt of one build, as its phases see it. */
export type BuildRun = {
  spec: BuildSpec
  attempt: number
  leaseToken: string
  lease: LeaseClient
  engine: ContainerEngine
  broker: BrokerClient
  logs: LogPump
  phases: PhaseReports
  secrets: SecretSet
  /** What the broker gave for the customer's commands; every value is masked. */
  secretVariables: Readonly<Record<string, string>>
  /** Found by the reaper, and by the clean-up at the end of the build. */
  labels: Labels
  stackId: string
  imageId: () => Promise<string>
  extraCa?: Buffer
  hostPolicy: HostPolicy
  resolve: Resolve
  /** Versions of tools that the variables name, once the image was looked at. */
  tools?: Readonly<Record<string, string>>
  /** The way out of the build container, while there is one. */
  egress?: Egress
  /** Aborts with the reason the build must stop for. */
  signal: AbortSignal
}

export type Sandbox = { containerId: string }

/**
 * What the customer's commands find in their environment; nothing of it is in the container's configuration. What the
 * platform itself says of the build (`CI…`) has the last word.
 */
export function commandEnvironment(run: BuildRun): Record<string, string> {
  return {
    ...toolEnvironment(run),
    CI: 'true',
    CAPSTAN_BUILD_ID: run.spec.buildId,
    CAPSTAN_BUILD_NUMBER: String(run.spec.number),
    ...run.spec.variables,
    ...run.secretVariables,
    ...Object.fromEntries(Object.entries(run.spec.variables).filter(([name]) => /^CI(_|$)/.test(name))),
    ...run.tools,
    ...run.egress?.environment,
  }
}

/** For tools that work with what is not the customer's, such as the credential of a git host: none of his variables. */
export function toolEnvironment(run: BuildRun): Record<string, string> {
  return {
    HOME: '/work/home',
    ...(run.extraCa !== undefined && { NODE_EXTRA_CA_CERTS: `${toolDir}/extra-ca.pem` }),
    ...run.egress?.environment,
  }
}
