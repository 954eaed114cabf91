// Prints as much as its argument says, in bytes: colours, links and titles of terminals, broken UTF-8, long lines.
import { once } from 'node:events'
import { argv, stdout } from 'node:process'
import { pathToFileURL } from 'node:url'

/** Line `n`, without its end. */
export function bytesOf(n) {
  const noise = ((n * 2_654_435_761) >>> 0).toString(16).padStart(8, '0')
  const shapes = [
    () => Buffer.from(`\u001B[32m✓\u001B[0m ${n} ${noise.repeat(12)}`),
    () =>
      Buffer.concat([
        Buffer.from(`${n} broken `),
        Buffer.from([0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80]),
        Buffer.from(noise),
      ]),
    () =>
      Buffer.from(`\u001B]0;${noise}\u0007\u001B]8;;https://example.com/${n}\u001B\\link\u001B]8;;\u001B\\ ü \u202E`),
    () => Buffer.from(`${n} ${noise.repeat(120)}`),
  ]
  return shapes[n % shapes.length]()
}

async function print(bytes) {
  const end = Buffer.from('\n')
  let printed = 0
  for (let n = 0; printed < bytes;) {
    const lines = []
    for (let size = 0; size < 1 << 20; n += 1) {
      lines.push(bytesOf(n), end)
      size += lines.at(-2).length + 1
    }
    const block = Buffer.concat(lines)
    if (!stdout.write(block)) await once(stdout, 'drain')
    printed += block.length
  }
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) await print(Number(argv[2]))
