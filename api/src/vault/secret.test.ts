import { inspect } from 'node:util'

import { expect, test } from 'vitest'

import { Secret } from './secret.js'

test('a secret shows itself nowhere', () => {
  const secret = new Secret(Buffer.from('hunter2'))
  const shown = [
    secret.toString(),
    JSON.stringify({ secret }),
    inspect({ secret }),
    inspect(secret),
    String(secret),
  ].join(' ')
  expect(shown).toContain('[secret]')
  expect(shown).not.toMatch(/hunter2|68 75 6e|aHVudGVyMg/)
})

test('its bytes are zeroed at the end of the block that owns it', () => {
  const bytes = Buffer.from('hunter2')
  let seen = ''
  {
    using secret = new Secret(bytes)
    seen = secret.use((lent) => lent.toString())
  }
  expect(seen).toBe('hunter2')
  expect(bytes).toEqual(Buffer.alloc(7))
})

test('a disposed secret cannot be used', () => {
  const secret = new Secret(Buffer.from('x'))
  secret[Symbol.dispose]()
  expect(() => secret.use(() => 1)).toThrow('the secret is gone')
})
