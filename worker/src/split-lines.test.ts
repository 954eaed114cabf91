import { expect, test } from 'vitest'
import { LineSplitter, lineCap } from './split-lines.js'

function linesOf(...chunks: (string | Uint8Array)[]): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter((line) => lines.push(line))
  for (const chunk of chunks) splitter.write(Buffer.concat([typeof chunk === 'string' ? Buffer.from(chunk) : chunk]))
  splitter.end()
  return lines
}

test('lines may be cut into chunks anywhere, also inside a character', () => {
  const text = Buffer.from('größe\nzwei\n')
  for (let cut = 1; cut < text.length; cut++) {
    expect(linesOf(text.subarray(0, cut), text.subarray(cut))).toEqual(['größe', 'zwei'])
  }
})

test('Windows line ends end a line once', () => {
  expect(linesOf('one\r\ntwo\r', '\nthree')).toEqual(['one', 'two', 'three'])
})

test('a progress bar leaves its last state', () => {
  expect(linesOf('10 %\r50 %\r', '100 %\ndone\n')).toEqual(['100 %', 'done'])
})

test('empty lines are kept and the last line needs no end', () => {
  expect(linesOf('a\n\nb')).toEqual(['a', '', 'b'])
})

test('an endless line is cut, and the next one is whole', () => {
  const [long, next] = linesOf('x'.repeat(lineCap), 'y'.repeat(5 * lineCap), '\nnext\n')
  expect(long?.length).toBeLessThanOrEqual(lineCap)
  expect(long).toMatch(/^x+ \[the rest of this line was cut\]$/)
  expect(next).toBe('next')
})

test('bytes that are not UTF-8, and NUL, become replacement characters', () => {
  expect(linesOf(Buffer.from([0x61, 0xff, 0x00, 0x62, 0x0a]))).toEqual(['a\uFFFD\uFFFDb'])
})
