import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ApiConfig, ControlConfig, objectStoreSettings, readConfig } from '../src/config.js'

const complete = {
  DATABASE_URL: 'postgres://capstan_api@127.0.0.1/capstan',
  REDIS_URL: 'redis://127.0.0.1:6379',
  PUBLIC_URL: 'http://127.0.0.1:4400',
  TOKEN_PEPPER_FILE: '/run/pepper',
  BROKER_SEAL_SOCKET: '/run/seal.sock',
  OBJECT_STORE_DIR: '/var/objects',
  OBJECT_STORE_KEY_FILE: '/run/objects.key',
}

const MAIL = { MAIL_FROM: 'a@b.example', WEBHOOK_KEY_FILE: '/k' }

describe('configuration', () => {
  test('is read with sensible defaults', () => {
    const config = readConfig(ApiConfig, complete)
    expect(config).toMatchObject({ HOST: '127.0.0.1', PORT: 4400, LOG_LEVEL: 'info', LEASE_MS: 60_000 })
    expect(objectStoreSettings(config)).toEqual({
      kind: 'filesystem',
      dir: '/var/objects',
      keyFile: '/run/objects.key',
    })
  })

  test('takes S3 instead of a folder', () => {
    const { OBJECT_STORE_DIR: _dir, OBJECT_STORE_KEY_FILE: _key, ...rest } = complete
    const config = readConfig(ControlConfig, { ...rest, S3_BUCKET: 'capstan', AWS_REGION: 'eu-central-1' })
    expect(objectStoreSettings(config)).toEqual({ kind: 's3', bucket: 'capstan', region: 'eu-central-1' })
  })

  test.each([
    ['missing', { DATABASE_URL: '' }, 'DATABASE_URL'],
    ['not a URL', { PUBLIC_URL: 'here' }, 'PUBLIC_URL'],
    ['contradictory', { S3_BUCKET: 'capstan' }, 'set either S3_BUCKET or OBJECT_STORE_DIR'],
    ['half', { OBJECT_STORE_KEY_FILE: '' }, 'OBJECT_STORE_KEY_FILE'],
  ])('that is %s ends the process with one sentence and exit code 78', (_name, changes, named) => {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
    const run = spawnSync(process.execPath, [main], {
      env: { PATH: process.env.PATH ?? '', ...complete, ...changes },
      encoding: 'utf8',
    })
    expect(run.status).toBe(78)
    expect(run.stderr).toContain(named)
    expect(run.stderr.trim().split('\n')).toHaveLength(1)
  })

  test.each([
    ['mail without a sender', { SMTP_URL: 'smtp://127.0.0.1', WEBHOOK_KEY_FILE: '/k' }, 'SMTP_URL and MAIL_FROM'],
    ['mail without a key', { SMTP_URL: 'smtp://127.0.0.1', MAIL_FROM: 'a@b.example' }, 'WEBHOOK_KEY_FILE'],
    ['a sender that is a sentence', { SMTP_URL: 'smtp://127.0.0.1', MAIL_FROM: 'Capstan <a@b.example>' }, 'MAIL_FROM'],
    ['a password in the address', { SMTP_URL: 'smtps://u:p@mail.example', ...MAIL }, 'SMTP_PASSWORD_FILE'],
    ['a user without a password', { SMTP_URL: 'smtps://u@mail.example', ...MAIL }, 'SMTP_PASSWORD_FILE'],
    ['no mail server', { SMTP_URL: 'http://mail.example', ...MAIL }, 'SMTP_URL'],
  ])('of the control process with %s is refused', (_name, changes, named) => {
    const parsed = ControlConfig.safeParse({ ...complete, ...changes })
    expect(parsed.success).toBe(false)
    expect(JSON.stringify(parsed.error?.issues)).toContain(named)
    expect(JSON.stringify(parsed.error?.issues)).not.toContain('u:p')
  })

  test('with mail is complete with a sender, a key and a password in a file', () => {
    const settings = { ...complete, ...MAIL, SMTP_URL: 'smtps://u@mail.example', SMTP_PASSWORD_FILE: '/run/p' }
    expect(ControlConfig.safeParse(settings).success).toBe(true)
    expect(ControlConfig.safeParse(complete).success).toBe(true)
  })

  test('that names a key file that is not there ends the process the same way', () => {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
    const run = spawnSync(process.execPath, [main], {
      env: { PATH: process.env.PATH ?? '', ...complete },
      encoding: 'utf8',
    })
    expect(run.status).toBe(78)
    expect(run.stderr).toMatch(/^Configuration: TOKEN_PEPPER_FILE: .* does not exist\.\n$/)
  })
})
