import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { applyPatch, layOut, type ListedFile, PatchError } from '../src/delta/index.js'
import { makePatch } from '../src/delta/make/index.js'

/** The same numbers in every run (mulberry32). */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const words = ['return', 'function', 'const', '=>', '(', ')', 'this.', 'e', 't', 'n', ';', '{', '}', '.value', '"text"']

function program(numbers: (below: number) => number, length: number): string {
  let source = ''
  while (source.length < length) source += words[numbers(words.length)]
  return source
}

/** Another version of a program: names replaced, parts moved, removed and added. */
function edited(numbers: (below: number) => number, source: string): string {
  let result = source
  for (let i = 0; i < 20; i++) {
    const at = numbers(result.length)
    const end = Math.min(result.length, at + numbers(2000))
    const part = result.slice(at, end)
    const edits = ['', part.replaceAll('e', 'r'), part + part, program(numbers, 300)]
    result = result.slice(0, at) + edits[numbers(edits.length)] + result.slice(end)
  }
  return result
}

function made(old: Uint8Array, fresh: Uint8Array, effort: 'fast' | 'best' = 'best'): Uint8Array {
  const patch = makePatch(old, fresh, { effort })
  if (patch === null) throw new Error('no patch')
  return patch
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (error instanceof PatchError) return error.code
  throw error ?? new Error('not refused')
}

const numbers = numbersFrom(7)
const oldBytes = text(program(numbers, 60_000))
const newBytes = text(edited(numbers, new TextDecoder().decode(oldBytes)))

describe('a patch', () => {
  test.each(['fast', 'best'] as const)('makes the new bytes from the old ones (%s)', async (effort) => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = numbersFrom(seed)
      const old = program(random, random(30_000) + 1)
      const fresh = text(edited(random, old))
      const patch = made(text(old), fresh, effort)
      expect(Buffer.from(await applyPatch(patch, text(old), fresh.length)).equals(fresh), `seed ${seed}`).toBe(true)
    }
  })

  test('is small where little has changed, and the better effort never makes a larger one', () => {
    const best = made(oldBytes, newBytes)
    expect(best.length).toBeLessThan(newBytes.length / 20)
    expect(best.length).toBeLessThanOrEqual(made(oldBytes, newBytes, 'fast').length)
  })

  test.each([
    ['nothing from nothing', '', ''],
    ['nothing from something', 'abc', ''],
    ['something from nothing', '', 'x'.repeat(5000)],
    ['the same', 'some bytes', 'some bytes'],
    ['a run over its own end', 'ab', 'ab'.repeat(3000)],
    ['one byte', 'a', 'b'],
  ])('makes %s', async (_, old, fresh) => {
    const patch = made(text(old), text(fresh))
    expect(new TextDecoder().decode(await applyPatch(patch, text(old), fresh.length))).toBe(fresh)
  })

  test('carries bytes that cannot be made smaller at hardly more than their size', async () => {
    const random = numbersFrom(3)
    const noise = Uint8Array.from({ length: 20_000 }, () => random(256))
    const patch = made(text('old'), noise)
    expect(patch.length).toBeLessThan(noise.length * 1.02)
    expect(Buffer.from(await applyPatch(patch, text('old'), noise.length)).equals(noise)).toBe(true)
  })

  test('has the same bytes on every engine and in every version', () => {
    const sha256 = createHash('sha256').update(made(oldBytes, newBytes)).digest('hex')
    expect(sha256).toBe('01202abd916e3204568961bf08be1326c7021488c02771388992397bb3b82d93')
  })

  test('is not made where a device would not take it', () => {
    const limits = { maximumBytes: 1000, maximumSteps: 10 }
    expect(() => makePatch(oldBytes, newBytes, { effort: 'fast', limits })).toThrow(PatchError)
    expect(makePatch(text('abcdefgh'), text('0123456789x'), { effort: 'fast', limits })).toBe(null)
    expect(makePatch(text('abcdefgh'), text('012345678'), { effort: 'fast', limits })).not.toBe(null)
  })
})

describe('a hostile patch', () => {
  const patch = made(oldBytes, newBytes)
  const withNumber = (offset: number, value: number): Uint8Array => {
    const changed = patch.slice()
    new DataView(changed.buffer).setUint32(offset, value)
    return changed
  }
  const apply = (bytes: Uint8Array, size = newBytes.length): Promise<Uint8Array> => applyPatch(bytes, oldBytes, size)

  test('as it was made it is applied', async () => {
    expect(Buffer.from(await apply(patch)).equals(newBytes)).toBe(true)
  })

  test.each([
    ['of nothing', new Uint8Array(), 'PATCH_MALFORMED'],
    ['that is none', text('CSP2 is another format'), 'PATCH_MALFORMED'],
    ['of its head alone', patch.slice(0, 16), 'PATCH_MALFORMED'],
    ['for another old side', withNumber(4, oldBytes.length + 1), 'PATCH_MISMATCH'],
    ['that says it makes 4 GB', withNumber(8, 0xffff_ffff), 'PATCH_MISMATCH'],
    ['with more steps than bytes', withNumber(12, newBytes.length + 1), 'PATCH_MALFORMED'],
    ['with more steps than it says', withNumber(12, 3), 'PATCH_MALFORMED'],
    ['with fewer steps than it says', withNumber(12, newBytes.length), 'PATCH_MALFORMED'],
  ])('%s is refused', async (_, bytes, code) => {
    expect(await refusal(apply(bytes))).toBe(code)
  })

  test('beyond the limits is refused before anything is allocated', async () => {
    const limits = { maximumBytes: oldBytes.length + newBytes.length - 1, maximumSteps: 1_000_000 }
    expect(await refusal(applyPatch(patch, oldBytes, newBytes.length, limits))).toBe('PATCH_TOO_LARGE')
    const impatient = { maximumBytes: 1_000_000, maximumSteps: 10 }
    expect(await refusal(applyPatch(patch, oldBytes, newBytes.length, impatient))).toBe('PATCH_TOO_LARGE')
    const exact = { maximumBytes: oldBytes.length + newBytes.length, maximumSteps: 1_000_000 }
    expect((await applyPatch(patch, oldBytes, newBytes.length, exact)).length).toBe(newBytes.length)
  })

  test('cut short anywhere is refused', async () => {
    const random = numbersFrom(11)
    for (let i = 0; i < 60; i++) expect(await refusal(apply(patch.slice(0, random(patch.length))))).toMatch(/^PATCH_/)
  })

  test('with changed bits is refused, or makes as many other bytes', async () => {
    const random = numbersFrom(12)
    let refused = 0
    for (let i = 0; i < 150; i++) {
      const changed = patch.slice()
      for (let n = random(3); n >= 0; n--) {
        const at = random(changed.length)
        changed[at] = changed[at]! ^ (1 << random(8))
      }
      try {
        expect((await apply(changed)).length).toBe(newBytes.length)
      } catch (error) {
        expect(error).toBeInstanceOf(PatchError)
        refused += 1
      }
    }
    expect(refused).toBeGreaterThan(75)
  })

  test('of noise is refused in less than what it may take', async () => {
    const random = numbersFrom(13)
    for (let i = 0; i < 40; i++) {
      const noise = patch.slice()
      for (let at = 16; at < noise.length; at++) noise[at] = random(256)
      expect(await refusal(apply(noise))).toMatch(/^PATCH_/)
    }
  })
})

describe('the layout of both sides', () => {
  const file = (path: string, content: string): ListedFile => ({
    path,
    sha256: createHash('sha256').update(content).digest('hex'),
    size: content.length,
  })

  test('leaves out what the old bundle has under any name, and what comes twice', () => {
    const old = [file('b.js', 'moved'), file('a.js', 'kept')]
    const fresh = [file('z.js', 'new'), file('a.js', 'kept'), file('c.js', 'moved'), file('d.js', 'new')]
    const layout = layOut(old, fresh)
    expect(layout.old.map(({ path }) => path)).toEqual(['a.js', 'b.js'])
    expect(layout.fresh.map(({ path }) => path)).toEqual(['d.js'])
    expect([layout.oldSize, layout.freshSize]).toEqual([9, 3])
    expect(layout.places.map(({ side, offset }) => [side, offset])).toEqual([
      ['fresh', 0],
      ['old', 0],
      ['old', 4],
      ['fresh', 0],
    ])
  })

  test('refuses lists that name one content with two sizes', () => {
    const one = file('a.js', 'content')
    expect(() => layOut([one], [{ ...one, size: 8 }])).toThrow(PatchError)
    expect(() => layOut([], [one, { ...one, path: 'b.js', size: 8 }])).toThrow(PatchError)
  })
})
