import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { type OwnProcess, processEnv } from '../src/stack/describe-processes.js'
import { describeConnections } from '../src/stack/stack-connections.js'
import { makeStackFolders } from '../src/stack/stack-folders.js'
import { openStackSecrets } from '../src/stack/stack-secrets.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'processes-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('mail and calls into the operator’s own network are set for the processes that need them, and no others', () => {
  const mail = { SMTP_URL: 'smtp://capstan@mail.example.com', MAIL_FROM: 'capstan@example.com' }
  const folders = makeStackFolders(folder)
  const secrets = openStackSecrets(folders.secrets)
  const settings = {
    config: readConfig({ ...mail, SMTP_PASSWORD_FILE: 'mail-password', OUTBOUND_PRIVATE_HOSTS: 'chat.internal' }),
    folders,
    secrets,
    connections: describeConnections(
      'postgres://o@h:1/db',
      { url: 'redis://h:2', isOwn: true },
      secrets,
      folders.secrets,
    ),
    apiPort: 4400,
    dockerHost: 'unix:///var/run/docker.sock',
    builderImage: 'sha256:0',
    overrides: {},
  }
  const names = ['SMTP_URL', 'SMTP_PASSWORD_FILE', 'MAIL_FROM', 'OUTBOUND_PRIVATE_HOSTS']
  const of = (name: OwnProcess) =>
    Object.fromEntries(Object.entries(processEnv(settings, name)).filter(([key]) => names.includes(key)))
  const outbound = { OUTBOUND_PRIVATE_HOSTS: 'chat.internal' }
  expect(of('api')).toEqual({ ...outbound, MAIL_FROM: mail.MAIL_FROM })
  expect(of('control')).toEqual({ ...outbound, ...mail, SMTP_PASSWORD_FILE: join(process.cwd(), 'mail-password') })
  expect([of('broker'), of('worker')]).toEqual([{}, {}])
})
