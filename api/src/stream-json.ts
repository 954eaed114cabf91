import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { TypedResponse } from 'hono'

/** For routes whose answer is written as it comes, and so is not there to be compared with its schema. */
type Streamed<Format extends 'json' | 'text'> = Response & TypedResponse<never, 200, Format>

/**
 * A JSON document with one list that is written as its items come, so that a long one is never held whole. `documentWith`
 * puts what it is given where the list is to stand.
 */
export function streamJson(
  documentWith: (list: unknown) => unknown,
  pages: AsyncIterable<readonly unknown[]>,
): Streamed<'json'> {
  // Nobody who chose a text in the document can know it.
  const place = randomUUID()
  const [head = '', tail = ''] = JSON.stringify(documentWith(place)).split(JSON.stringify(place))
  async function* text(): AsyncGenerator<string> {
    yield `${head}[`
    let isFirst = true
    for await (const items of pages) {
      if (items.length === 0) continue
      yield `${isFirst ? '' : ','}${items.map((item) => JSON.stringify(item)).join(',')}`
      isFirst = false
    }
    yield `]${tail}`
  }
  return streamed(text(), { 'content-type': 'application/json' }) as Streamed<'json'>
}

/** Text as it comes. */
export function streamText(text: AsyncGenerator<string>, headers: Record<string, string>): Streamed<'text'> {
  return streamed(text, { ...headers, 'content-type': 'text/plain; charset=utf-8' }) as Streamed<'text'>
}

/** A failure breaks the answer off, so that a part is not taken for the whole. */
function streamed(text: AsyncGenerator<string>, headers: Record<string, string>): Response {
  async function* bytes(): AsyncGenerator<Buffer> {
    for await (const part of text) yield Buffer.from(part)
  }
  return new Response(Readable.toWeb(Readable.from(bytes())) as ReadableStream<Uint8Array>, { headers })
}
