import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { at, capstan, useHome } from './cli-lab.js'

useHome()

describe('verify-audit', () => {
  const { auditChain } = JSON.parse(readFileSync(new URL('../vectors/audit-chain.json', import.meta.url), 'utf8')) as {
    auditChain: { events: { json: string; hash: string }[]; signedCheckpoint: string; ed25519PublicHex: string }
  }
  const lines = auditChain.events.map(({ json, hash }, index) => JSON.stringify({ seq: index + 1, hash, event: json }))
  const head = `5:${auditChain.events[4]!.hash}`
  const write = (count = 5): string => {
    writeFileSync(
      at('log.jsonl'),
      lines
        .slice(0, count)
        .map((line) => `${line}\n`)
        .join(''),
    )
    return at('log.jsonl')
  }
  const checkpoint = (): string[] => {
    const der = Buffer.from(`302a300506032b6570032100${auditChain.ed25519PublicHex}`, 'hex').toString('base64')
    writeFileSync(at('key'), `-----BEGIN PUBLIC KEY-----\n${der}\n-----END PUBLIC KEY-----\n`)
    writeFileSync(at('note'), auditChain.signedCheckpoint)
    return ['--checkpoint', at('note'), '--checkpoint-key', at('key')]
  }

  test('exit 0 and the head when the log is intact', async () => {
    const expected = { code: 0, out: ['intact: 5 events of org_1', `head: ${head}`], err: [] }
    expect(await capstan(['verify-audit', write()])).toEqual(expected)
    expect(
      await capstan(['verify-audit', write(), '--head', head, '--min-size', '5', '--org', 'org_1', ...checkpoint()]),
    ).toEqual(expected)
  })

  test('exit 1, the event and the reason after one byte changed', async () => {
    const path = write()
    const bytes = readFileSync(path)
    const position = bytes.indexOf('usr_B')
    bytes[position] = bytes[position]! ^ 1
    writeFileSync(path, bytes)
    expect(await capstan(['verify-audit', path])).toEqual({
      code: 1,
      out: ['tampered: event 3: The event does not have the hash that the line names. (HASH_MISMATCH)'],
      err: [],
    })
  })

  test('exit 1 when the end is missing and that can be known', async () => {
    expect((await capstan(['verify-audit', write(4)])).code).toBe(0)
    for (const more of [['--head', head], ['--min-size', '5'], checkpoint()]) {
      expect(await capstan(['verify-audit', write(4), ...more])).toMatchObject({
        code: 1,
        out: [expect.stringContaining('(TOO_SHORT)')],
      })
    }
  })

  test('exit 2 for wrong usage, also for a file that is not there', async () => {
    expect((await capstan(['verify-audit'])).code).toBe(2)
    expect((await capstan(['verify-audit', at('none')])).code).toBe(2)
    expect((await capstan(['verify-audit', write(), '--head', '5'])).code).toBe(2)
    expect((await capstan(['verify-audit', write(), '--checkpoint', at('x')])).code).toBe(2)
  })

  test('exit 3 when nothing can be said', async () => {
    expect(await capstan(['verify-audit', write(0)])).toMatchObject({
      code: 3,
      out: ['cannot be verified: the log is empty'],
    })
    const more = checkpoint()
    writeFileSync(at('note'), auditChain.signedCheckpoint.replace('\n5\n', '\n4\n'))
    expect(await capstan(['verify-audit', write(), ...more])).toMatchObject({
      code: 3,
      err: [expect.stringContaining('CHECKPOINT_SIGNATURE')],
    })
    const event = JSON.stringify({
      org: 'org_1',
      prev: auditChain.events[4]!.hash,
      seq: 6,
      ts: '2026-11-21T20:00:00.000Z',
    })
    const hash = createHash('sha256').update(`audit-event-v1\0${event}`).digest('hex')
    const path = write()
    writeFileSync(path, `${readFileSync(path, 'utf8')}${JSON.stringify({ seq: 6, hash, event })}\n`)
    expect(await capstan(['verify-audit', path, ...checkpoint()])).toMatchObject({
      code: 3,
      out: [expect.stringContaining('5 of 6')],
    })
    expect((await capstan(['verify-audit', path])).code).toBe(0)
  })
})
