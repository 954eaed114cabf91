import type { UpdateServer } from '../update-fixture.js'
import { replyJson } from '../update-fixture.js'

/** A small generator with a seed (mulberry32), so that a failure can be repeated. */
function seeded(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1)
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

const junk: unknown[] = [
  null,
  '',
  0,
  -1,
  1e308,
  true,
  [],
  {},
  'null',
  '\u0000',
  '../..',
  'x'.repeat(5000),
  [[[[]]]],
  { __proto__: null, a: 1 },
]

function everyPlace(value: unknown, places: { holder: Record<string, unknown>; key: string }[] = []): typeof places {
  if (typeof value !== 'object' || value === null) return places
  for (const key of Object.keys(value)) {
    places.push({ holder: value as Record<string, unknown>, key })
    everyPlace((value as Record<string, unknown>)[key], places)
  }
  return places
}

function mutateText(text: string, random: (below: number) => number): string {
  const at = random(text.length + 1)
  const kinds = [
    () => text.slice(0, at),
    () => text.slice(0, at) + String.fromCharCode(random(0xffff)) + text.slice(at + 1),
    () => text.slice(0, at) + text.slice(at + 1 + random(8)),
    () => text + text,
    () =>
      Buffer.from(
        Uint8Array.from(Buffer.from(text, 'base64'), (byte, index) => (index === at ? byte ^ 16 : byte)),
      ).toString('base64'),
  ]
  return kinds[random(kinds.length)]!()
}

/** Mutates the answer or the download that stands, by its seed; says what it did. */
export function fuzzAnswer(server: UpdateServer, seed: number): string {
  const random = seeded(seed)
  let text = ''
  const catcher = { writeHead: () => catcher, end: (body: string) => void (text = body) }
  server.latest({} as never, catcher as never)
  const kind = random(10)
  if (kind === 0) {
    const body = mutateText(text, random)
    server.latest = (_request, response) => void response.end(body)
    return 'the text of the answer'
  }
  if (kind === 1) {
    const status = [200, 201, 204, 301, 400, 401, 403, 404, 418, 500, 503][random(11)]!
    server.latest = (_request, response) => void response.writeHead(status).end(random(2) ? text : '')
    return `status ${status}`
  }
  if (kind === 2) {
    const { download } = server
    const [cut, status] = [random(3), [204, 404, 500, 206][random(4)]!]
    server.download = (request, response) => {
      const parts: Buffer[] = []
      const sink = { writeHead: () => sink, end: (body: Uint8Array) => void parts.push(Buffer.from(body)) }
      download(request, sink as never)
      const body = Buffer.concat(parts)
      const at = random(body.length)
      const flipped = Buffer.from(body.map((byte, index) => (index === at ? byte ^ 1 : byte)))
      response.writeHead(cut === 0 ? status : 200)
      response.end(cut === 0 ? undefined : cut === 1 ? body.subarray(0, at) : flipped)
    }
    return 'the download'
  }
  const answer = JSON.parse(text) as Record<string, unknown>
  const done: string[] = []
  for (let count = 1 + random(3); count > 0; count--) {
    const places = everyPlace(answer)
    const place = places[random(places.length)]
    if (!place) break
    const { holder, key } = place
    const value = holder[key]
    done.push(key)
    if (random(4) === 0) delete holder[key]
    else if (typeof value === 'string' && random(3) > 0) holder[key] = mutateText(value, random)
    else holder[key] = junk[random(junk.length)]
  }
  server.latest = replyJson(answer)
  return done.join()
}
