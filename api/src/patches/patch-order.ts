import { z } from 'zod'

/** What the program that makes patches reads first: this as JSON behind its length, then both zips. */
export const PatchOrder = z.object({
  effort: z.enum(['fast', 'best']),
  old: z.object({ size: z.number().int().nonnegative(), sha256: z.string() }),
  fresh: z.object({ size: z.number().int().nonnegative(), sha256: z.string() }),
})
export type PatchOrder = z.infer<typeof PatchOrder>

/** What it answers: this as JSON behind its length, then the patch if there is one. */
export const PatchVerdict = z.union([
  z.object({ ok: z.literal(true), sizeBytes: z.number().int().nonnegative() }),
  z.object({ ok: z.literal(false), reason: z.string() }),
])
export type PatchVerdict = z.infer<typeof PatchVerdict>

/** A JSON document behind its length in four bytes. */
export function frame(document: PatchOrder | PatchVerdict): Buffer {
  const json = Buffer.from(JSON.stringify(document))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json])
}

/** The document at the start of `bytes` and what follows it. */
export function unframe(bytes: Buffer): { document: unknown; rest: Buffer } {
  const end = 4 + bytes.readUInt32BE(0)
  return { document: JSON.parse(bytes.toString('utf8', 4, end)), rest: bytes.subarray(end) }
}
