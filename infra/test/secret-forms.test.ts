import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { findSecrets, secretForms } from '../src/demo/secret-forms.js'

const password = 'p@ss "q"/ü-mXk81'
const file = randomBytes(2500)
const forms = secretForms({ keystore: file }, { password })
const noise = () => randomBytes(50_000)

const hidden: Record<string, (bytes: Buffer) => Buffer> = {
  raw: (bytes) => bytes,
  hex: (bytes) => Buffer.from(bytes.toString('hex')),
  'hex in capitals': (bytes) => Buffer.from(bytes.toString('hex').toUpperCase()),
  base64: (bytes) => Buffer.from(bytes.toString('base64')),
  'base64 after one byte': (bytes) =>
    Buffer.from(Buffer.concat([Buffer.from('a'), bytes, Buffer.from('bcd')]).toString('base64')),
  'base64 after two bytes': (bytes) =>
    Buffer.from(Buffer.concat([Buffer.from('ab'), bytes, Buffer.from('cd')]).toString('base64')),
}

describe.each(Object.entries(hidden))('%s', (_name, hide) => {
  test('a password is found', () => {
    const place = Buffer.concat([noise(), hide(Buffer.from(password)), noise()])
    expect(findSecrets('place', place, forms).some((hit) => hit.startsWith('password'))).toBe(true)
  })

  test('a file is found, also when its beginning is missing', () => {
    const place = Buffer.concat([noise(), hide(file.subarray(700)), noise()])
    expect(findSecrets('place', place, forms).some((hit) => hit.startsWith('keystore'))).toBe(true)
  })
})

test('nothing is found where nothing is', () => {
  expect(findSecrets('place', noise(), forms)).toEqual([])
})
