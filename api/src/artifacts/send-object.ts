import { Readable } from 'node:stream'
import type { Context } from '../context.js'
import { attachmentNamed } from '../objects/attachment-named.js'
import { asProblem } from '../objects/object-problem.js'

const MIME_TYPE = /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/

export type SendObject = { objectKey: string; fileName: string; mimeType: string }

/** The answer that carries one stored object, streamed, to be saved under `fileName`. */
export async function sendObject(ctx: Context, { objectKey, fileName, mimeType }: SendObject): Promise<Response> {
  const { body, sizeBytes, sha256 } = await ctx.objects.get(objectKey).catch(asProblem)
  body.once('error', (error) =>
    ctx.log.error({ err: error, key: objectKey, requestId: ctx.requestId }, 'download broke off'),
  )
  return new Response(Readable.toWeb(body) as ReadableStream<Uint8Array>, {
    headers: {
      'content-type': MIME_TYPE.test(mimeType) ? mimeType : 'application/octet-stream',
      'content-length': String(sizeBytes),
      'content-disposition': attachmentNamed(fileName),
      'x-checksum': sha256,
      'cache-control': 'private, no-store',
    },
  })
}
