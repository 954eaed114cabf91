import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { RedisUser } from './start-redis.js'
import { masterKeyLine, randomKey, randomPassword, readSecret, secretFile } from './stack-folders.js'

export interface StackSecrets {
  readonly stackId: string
  readonly postgresPassword: string
  /** Password file of each process's database role. */
  readonly databaseFiles: Readonly<Record<'api' | 'control' | 'broker', string>>
  readonly redisFiles: Readonly<Record<RedisUser, string>>
  readonly tokenPepperFile: string
  readonly objectStoreKeyFile: string
  readonly masterKeyFile: string
  /** Ed25519 key with which the broker signs deletion certificates. */
  readonly deletionKeyFile: string
  /** Ed25519 key with which the broker signs where artefacts come from. */
  readonly provenanceKeyFile: string
  /** Ed25519 key with which the broker signs checkpoints of audit chains. */
  readonly checkpointKeyFile: string
  /** Shared by API and control process: seals secrets of webhooks. */
  readonly webhookKeyFile: string
  /** Ed25519 key with which the platform signs channel statements. */
  readonly channelStatementKeyFile: string
}

const signingKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Reads the secrets of a stack, each kept in a file of its own, and makes the ones that are not there. */
export function openStackSecrets(folder: string): StackSecrets {
  const file = (name: string, make: () => string | Uint8Array): string => secretFile(folder, name, make)
  const password = (name: string): string => file(`${name}-password`, randomPassword)
  return {
    stackId: readSecret(file('stack-id', () => randomBytes(6).toString('hex'))),
    postgresPassword: readSecret(password('postgres-owner')),
    databaseFiles: {
      api: password('postgres-api'),
      control: password('postgres-control'),
      broker: password('postgres-broker'),
    },
    redisFiles: {
      capstan_api: password('redis-api'),
      capstan_control: password('redis-control'),
      capstan_worker: password('redis-worker'),
    },
    tokenPepperFile: file('token-pepper', randomKey),
    webhookKeyFile: file('webhook-key', randomKey),
    objectStoreKeyFile: file('object-store-key', randomKey),
    masterKeyFile: file('master-key', masterKeyLine),
    deletionKeyFile: file('deletion-key', signingKey),
    provenanceKeyFile: file('provenance-key', signingKey),
    checkpointKeyFile: file('checkpoint-key', signingKey),
    channelStatementKeyFile: file('channel-statement-key', signingKey),
  }
}
