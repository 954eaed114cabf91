import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { removeStartLinks } from '../src/components/remove-start-links.js'

let units: string

beforeEach(() => {
  units = mkdtempSync(join(tmpdir(), 'units-'))
  for (const folder of ['multi-user.target.wants', 'sockets.target.wants']) mkdirSync(join(units, folder))
  for (const link of [
    'multi-user.target.wants/redis-server.service',
    'multi-user.target.wants/ssh.service',
    'sockets.target.wants/docker.socket',
  ]) {
    symlinkSync(join('/lib/systemd/system', link), join(units, link))
  }
})
afterEach(() => rmSync(units, { recursive: true, force: true }))

test('a unit is no longer wanted by any target; the others are left alone', () => {
  removeStartLinks(units, 'redis-server.service')
  expect(readdirSync(join(units, 'multi-user.target.wants'))).toEqual(['ssh.service'])
  removeStartLinks(units, 'docker.socket')
  expect(readdirSync(join(units, 'sockets.target.wants'))).toEqual([])
})

test('a machine without systemd folders, or without the unit, stays as it is', () => {
  removeStartLinks(join(units, 'absent'), 'ssh.service')
  expect(existsSync(join(units, 'absent'))).toBe(false)
  removeStartLinks(units, 'absent.service')
  expect(readdirSync(join(units, 'multi-user.target.wants'))).toEqual(['redis-server.service', 'ssh.service'])
})
