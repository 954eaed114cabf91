import { hkdfSync, randomBytes } from 'node:crypto'

import { expect, test } from 'vitest'

import { hkdfSha512 } from './hkdf.js'

test('derives what HKDF of Node derives, for any secret, salt and label', () => {
  for (let round = 0; round < 200; round += 1) {
    const [secret, salt] = [randomBytes(32), randomBytes(round)]
    const labels = ['', `label ${round}`, 'cre1:encrypt'] as const
    const expected = labels.map((label) => Buffer.from(hkdfSync('sha512', secret, salt, label, 32)))
    expect(hkdfSha512(secret, salt, ...labels)).toEqual(expected)
  }
})
