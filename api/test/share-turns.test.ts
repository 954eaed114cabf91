import { setImmediate as tick } from 'node:timers/promises'

import { expect, test } from 'vitest'

import { shareTurns } from '../src/credentials/share-turns.js'

/** Pieces of work that end when they are told to, in the order in which they began. */
function workshop(settings = { atOnce: 1, waitingOfOne: 3, waiting: 5 }) {
  const inTurn = shareTurns(settings)
  const begun: string[] = []
  const alone: string[] = []
  const ends: (() => void)[] = []
  const bring = (owner: string, name: string) =>
    inTurn(owner, (others) => {
      begun.push(name)
      if (!others) alone.push(name)
      return new Promise<string>((resolve) => ends.push(() => resolve(name)))
    })
  const finish = async () => {
    ends.shift()?.()
    await tick()
  }
  return { bring, begun, alone, finish }
}

test('owners come in turn, however many pieces one of them brought first', async () => {
  const { bring, begun, alone, finish } = workshop()
  const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1'].map((name) => bring(name.slice(0, 1), name))
  for (let count = 0; count < all.length; count += 1) await finish()
  expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1', 'c1'])
  expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'a4'])
  // The first came to an empty place, and nobody was behind the last.
  expect(alone).toEqual(['a1', 'a4'])
})

test('one owner fills its own queue and leaves room for others; all together are bounded', async () => {
  const { bring, begun, finish } = workshop()
  const refused = { name: 'Problem', code: 'too-many-requests' }
  const held = ['a1', 'a2', 'a3', 'a4'].map((name) => bring('a', name))
  await expect(bring('a', 'a5')).rejects.toMatchObject(refused)
  held.push(bring('b', 'b1'), bring('c', 'c1'))
  await expect(bring('d', 'd1')).rejects.toMatchObject(refused)
  for (let count = 0; count < 6; count += 1) await finish()
  await Promise.all(held)
  const later = bring('a', 'a5')
  await finish()
  expect(await later).toBe('a5')
  expect(begun).toHaveLength(7)
})

test('work that fails hands its place on', async () => {
  const inTurn = shareTurns({ atOnce: 1, waitingOfOne: 1, waiting: 1 })
  const behind: boolean[] = []
  const failing = inTurn('a', (others) => {
    behind.push(others)
    return Promise.reject(new Error('broken'))
  })
  const next = inTurn('b', (others) => Promise.resolve(others ? 'others' : 'done'))
  await expect(failing).rejects.toThrow('broken')
  expect(behind).toEqual([false])
  expect(await next).toBe('done')
  expect(await inTurn('c', () => Promise.resolve('again'))).toBe('again')
})
