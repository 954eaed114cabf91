import { expect, test } from 'vitest'
import { demuxOutput } from './demux-output.js'

const frame = (stream: number, text: string) => {
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(Buffer.byteLength(text), 4)
  return Buffer.concat([header, Buffer.from(text)])
}

test('frames are told apart wherever the stream is cut', async () => {
  const whole = Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(1, ''), frame(1, 'more')])
  for (let size = 1; size <= whole.length; size++) {
    const texts = { stdout: '', stderr: '' }
    async function* chunks() {
      for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
    }
    for await (const { source, chunk } of demuxOutput(chunks())) texts[source] += chunk.toString()
    expect(texts).toEqual({ stdout: 'outmore', stderr: 'err' })
  }
})
