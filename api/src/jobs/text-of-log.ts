import type { LogLine } from '@capstan/migrations'

/** A log as text: a line a line, as it is kept. */
export async function* textOfLog(pages: AsyncIterable<readonly LogLine[]>): AsyncGenerator<string> {
  for await (const lines of pages) yield lines.map(({ text }) => `${text}\n`).join('')
}
