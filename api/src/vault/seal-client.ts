import { request } from 'node:http'

import { z } from 'zod'

import type { EnvelopeContext } from './envelope-context.js'
import type { Secret } from './secret.js'

/** What the API may do with credentials: have them encrypted or destroyed. There is no way back through this door. */
export interface SealClient {
  seal(ctx: EnvelopeContext, payload: Secret): Promise<{ envelope: Uint8Array; kekId: string; kekVersion: number }>
  /**
   * Destroys the key of a credential, or of one version of it: no copy of its rows opens again. The rows must still be
   * there. May be repeated; a deletion certificate is stored once. Call it before `recordAudit` in a transaction, since
   * the broker writes to the same audit chain.
   */
  destroyCredential(subject: { org: string; credential: string; version?: number }): Promise<DestroyedKeys>
  /** Destroys the key under which an owner's other secrets lie. The owner's row must still be there. */
  shred(owner: ShredOwner & { org: string }): Promise<void>
  /** The signed statement of where a finished artefact comes from; null where none can be made. */
  signProvenance(artifact: { org: string; artifact: string }): Promise<Record<string, unknown> | null>
  /** The key that signs such statements; null: none. */
  provenanceKey(): Promise<ProvenanceKey | null>
  /**
   * Destroys every key of an organization. May be repeated; call it before `recordAudit` and while no row of the
   * organization's own is locked against references to it.
   */
  destroyOrganization(org: string): Promise<DestroyedKeys>
  /** The public half of the key that signs deletion certificates. */
  deletionKey(): Promise<DeletionKey>
  /** The public half of the key that signs checkpoints of audit chains, as PEM. */
  checkpointKey(): Promise<string>
  /** Whether the stored version opens and its key signs what its certificate verifies. */
  proveKey(version: { org: string; credential: string; version: number; requestId: string }): Promise<boolean>
  health(): Promise<{ writable: boolean; kekVersion: number }>
}

export type ShredOwner = { kind: 'environment' | 'git-connection' | 'app'; id: string }
type ProvenanceKey = { keyId: string; publicKeyPem: string }
type DeletionKey = { keyId: string; publicKey: string }
export type DestroyedKeys = { certificateId: string; destroyedAt: string; backupsUntil: string }

/** The broker does not answer or refuses: nothing was sealed, and nothing may be stored. */
export class SealError extends Error {
  override name = 'SealError' as const
}

const Sealed = z.object({
  envelopeB64: z.base64(),
  kekId: z.string().min(1),
  kekVersion: z.number().int().positive(),
})
const Destroyed = z.object({ certificateId: z.uuid(), destroyedAt: z.string(), backupsUntil: z.string() })
const Provenance = z.object({ envelope: z.record(z.string(), z.unknown()).nullable() })
const ProvenanceKeyAnswer = z.object({ key: z.object({ keyId: z.string(), publicKeyPem: z.string() }).nullable() })
const DeletionKey = z.object({ keyId: z.string(), publicKey: z.string() })
const CheckpointKey = z.object({ publicKey: z.string().min(1) })
const Canary = z.object({ passed: z.boolean() })
const Health = z.object({ writable: z.boolean(), kekVersion: z.number().int() })

const TIMEOUT_MS = 5_000
// Thousands of records may have to be overwritten, each of them synced.
const DESTROY_ORGANIZATION_MS = 60_000
const MAX_ANSWER_BYTES = 8 * 1024 * 1024

/** Speaks HTTP over the broker's `seal` socket. */
export function createSealClient(socketPath: string): SealClient {
  return {
    async seal(ctx, payload) {
      const body = payload.use((bytes) => JSON.stringify({ ctx, payloadB64: bytes.toString('base64') }))
      const { envelopeB64, ...kek } = Sealed.parse(await ask(socketPath, 'POST', '/seal', body))
      return { ...kek, envelope: Buffer.from(envelopeB64, 'base64') }
    },
    async destroyCredential(subject) {
      return Destroyed.parse(await ask(socketPath, 'POST', '/destroy', JSON.stringify(subject)))
    },
    async shred(owner) {
      await ask(socketPath, 'POST', '/shred', JSON.stringify(owner))
    },
    async signProvenance(artifact) {
      return Provenance.parse(await ask(socketPath, 'POST', '/provenance', JSON.stringify(artifact))).envelope
    },
    async provenanceKey() {
      return ProvenanceKeyAnswer.parse(await ask(socketPath, 'GET', '/provenance-key')).key
    },
    async destroyOrganization(org) {
      const body = JSON.stringify({ org })
      return Destroyed.parse(await ask(socketPath, 'POST', '/destroy-organization', body, DESTROY_ORGANIZATION_MS))
    },
    async deletionKey() {
      return DeletionKey.parse(await ask(socketPath, 'GET', '/deletion-key'))
    },
    async checkpointKey() {
      return CheckpointKey.parse(await ask(socketPath, 'GET', '/checkpoint-key')).publicKey
    },
    async proveKey(version) {
      return Canary.parse(await ask(socketPath, 'POST', '/canary', JSON.stringify(version))).passed
    },
    async health() {
      return Health.parse(await ask(socketPath, 'GET', '/health'))
    },
  }
}

function ask(socketPath: string, method: string, path: string, body?: string, timeout = TIMEOUT_MS): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string) => reject(new SealError(`The credential broker does not answer (${reason}).`))
    const headers =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const call = request({ socketPath, method, path, headers, timeout }, (response) => {
      const pieces: Buffer[] = []
      let size = 0
      response.on('data', (piece: Buffer) => {
        size += piece.length
        if (size > MAX_ANSWER_BYTES) call.destroy()
        else pieces.push(piece)
      })
      response.on('error', () => fail('connection lost'))
      response.on('end', () => {
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`)
        try {
          return resolve(JSON.parse(Buffer.concat(pieces).toString('utf8')))
        } catch {
          return fail('unreadable answer')
        }
      })
    })
    call.on('timeout', () => call.destroy())
    call.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'connection lost'))
    call.end(body)
  })
}
