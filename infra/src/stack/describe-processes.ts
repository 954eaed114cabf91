import { join } from 'node:path'
import type { Config } from '../config.js'
import { saidReady } from './read-log.js'
import { type Connections, firstWorker, workerTokenName } from './stack-connections.js'
import type { StackFolders } from './stack-folders.js'
import type { StackSecrets } from './stack-secrets.js'
import type { ProcessSpec } from './supervised-process.js'

export type OwnProcess = 'broker' | 'api' | 'control' | 'worker'

export interface ProcessSettings {
  readonly config: Config
  readonly folders: StackFolders
  readonly secrets: StackSecrets
  readonly connections: Connections
  readonly apiPort: number
  readonly dockerHost: string
  readonly builderImage: string
  /** Settings that a caller adds or replaces, by process. */
  readonly overrides: Partial<Record<OwnProcess, Readonly<Record<string, string>>>>
}

const entryPoints: Record<OwnProcess, readonly string[]> = {
  broker: ['api', 'dist', 'broker.js'],
  api: ['api', 'dist', 'main.js'],
  control: ['api', 'dist', 'control.js'],
  worker: ['worker', 'dist', 'main.js'],
}

function objectStoreEnv({ config, folders, secrets }: ProcessSettings): Record<string, string> {
  if (config.objectStore['S3_BUCKET']) return { ...config.objectStore }
  return { OBJECT_STORE_DIR: folders.objects, OBJECT_STORE_KEY_FILE: secrets.objectStoreKeyFile }
}

function staticEnv({ folders, secrets }: ProcessSettings): Record<string, string> {
  return { STATIC_DIR: folders.static, CHANNEL_STATEMENT_KEY_FILE: secrets.channelStatementKeyFile }
}

/** What each process is told; a secret only ever by the name of its file. */
function ownEnv(settings: ProcessSettings): Record<OwnProcess, Record<string, string>> {
  const { folders, secrets, connections, config } = settings
  const apiUrl = `http://127.0.0.1:${settings.apiPort}`
  const sealSocket = join(folders.sockets, 'seal.sock')
  const openSocket = join(folders.sockets, 'open.sock')
  const { MAIL_FROM } = config.mail
  return {
    broker: {
      ...connections.database.broker,
      ...config.rootKeys,
      MASTER_KEY_FILE: secrets.masterKeyFile,
      KEY_STORE_DIR: folders.keys,
      DELETION_KEY_FILE: secrets.deletionKeyFile,
      PROVENANCE_KEY_FILE: secrets.provenanceKeyFile,
      CHECKPOINT_KEY_FILE: secrets.checkpointKeyFile,
      CHECKPOINT_DIR: folders.checkpoints,
      PUBLIC_URL: apiUrl,
      TOKEN_PEPPER_FILE: secrets.tokenPepperFile,
      BROKER_SEAL_SOCKET: sealSocket,
      BROKER_OPEN_SOCKET: openSocket,
      BROKER_ADMIN_SOCKET: join(folders.sockets, 'admin.sock'),
    },
    api: {
      ...connections.database.api,
      ...connections.redis.api,
      ...objectStoreEnv(settings),
      HOST: '127.0.0.1',
      PORT: String(settings.apiPort),
      PUBLIC_URL: apiUrl,
      TOKEN_PEPPER_FILE: secrets.tokenPepperFile,
      BROKER_SEAL_SOCKET: sealSocket,
      ...staticEnv(settings),
      WEBHOOK_KEY_FILE: secrets.webhookKeyFile,
      ...config.outbound,
      ...config.countries,
      ...(MAIL_FROM ? { MAIL_FROM } : {}),
    },
    control: {
      ...connections.database.control,
      ...connections.redis.control,
      ...objectStoreEnv(settings),
      ...staticEnv(settings),
      PUBLIC_URL: apiUrl,
      WEBHOOK_KEY_FILE: secrets.webhookKeyFile,
      ...config.outbound,
      ...config.mail,
    },
    worker: {
      ...connections.redis.worker,
      API_URL: apiUrl,
      WORKER_TOKEN_FILE: join(folders.secrets, workerTokenName(firstWorker)),
      WORKER_NAME: firstWorker,
      BROKER_OPEN_SOCKET: openSocket,
      DOCKER_HOST: settings.dockerHost,
      BUILDER_IMAGE: settings.builderImage,
      STACK_ID: secrets.stackId,
      ...config.egress,
      ...(config.extraCaFile ? { EXTRA_CA_FILE: config.extraCaFile } : {}),
    },
  }
}

export function processEnv(settings: ProcessSettings, name: OwnProcess): Record<string, string> {
  const { config, folders, overrides } = settings
  return {
    ...config.baseEnv,
    HOME: folders.run,
    NODE_NO_WARNINGS: '1',
    LOG_LEVEL: config.logLevel,
    ...ownEnv(settings)[name],
    ...overrides[name],
  }
}

export function describeProcess(settings: ProcessSettings, name: OwnProcess): ProcessSpec {
  const logFile = join(settings.folders.logs, `${name}.log`)
  return {
    name,
    command: process.execPath,
    args: [join(settings.config.checkout, ...entryPoints[name])],
    env: processEnv(settings, name),
    cwd: settings.folders.run,
    logFile,
    isReady: (logOffset) => Promise.resolve(saidReady(logFile, logOffset)),
  }
}

/** One more worker beside the first, under a name and a token of its own. */
export function describeMoreWorker(settings: ProcessSettings, name: string): ProcessSpec {
  const spec = describeProcess(settings, 'worker')
  const logFile = join(settings.folders.logs, `${name}.log`)
  const tokenFile = join(settings.folders.secrets, workerTokenName(name))
  return {
    ...spec,
    name,
    logFile,
    env: { ...spec.env, WORKER_NAME: name, WORKER_TOKEN_FILE: tokenFile },
    isReady: (logOffset) => Promise.resolve(saidReady(logFile, logOffset)),
  }
}
