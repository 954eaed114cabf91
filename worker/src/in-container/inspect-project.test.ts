import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { inspectProject } from './inspect-project.js'

let folder: string
const appId = '0198f5a0-0000-7000-8000-000000000001'

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'capstan-project-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

function write(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}

test('a Capacitor project is understood', () => {
  write({
    'package.json': '{"scripts":{"build":"x","capawesome:sync":"y"},"devDependencies":{"@capacitor/cli":"7"}}',
    'package-lock.json': '{}',
    'capacitor.config.json': '{"webDir":"out"}',
    'android/gradlew': '#!/bin/sh',
  })
  expect(inspectProject(folder, appId)).toEqual({
    baseDir: '',
    installDir: '',
    installCommand: null,
    webBuildCommand: null,
    packageManager: 'npm',
    lockfileSha256: createHash('sha256').update('{}').digest('hex'),
    scripts: ['build', 'capawesome:sync'],
    hasCapacitorCli: true,
    webDir: 'out',
    hasGradlew: true,
    isGradlewExecutable: false,
    problem: null,
  })
})

test.each([
  ['npm', { 'package-lock.json': '{}' }],
  ['npm', { 'npm-shrinkwrap.json': '{}' }],
  ['pnpm', { 'pnpm-lock.yaml': '' }],
  ['yarn', { 'yarn.lock': '' }],
  ['yarn-berry', { 'yarn.lock': '', '.yarnrc.yml': '' }],
  ['bun', { 'bun.lock': '' }],
  ['npm-unlocked', {}],
])('%s is told by its lockfile', (manager, files) => {
  write({ 'package.json': '{}', ...files })
  const { packageManager, lockfileSha256 } = inspectProject(folder, appId)
  expect(packageManager).toBe(manager)
  expect(lockfileSha256 === null).toBe(manager === 'npm-unlocked')
})

test('an empty folder is no project and no crash', () => {
  expect(inspectProject(folder, appId)).toMatchObject({
    packageManager: null,
    webDir: null,
    hasGradlew: false,
    problem: null,
  })
})

test('the folder of a framework is found without configuration', () => {
  write({ 'www/index.html': '' })
  expect(inspectProject(folder, appId).webDir).toBe('www')
})

test('a broken package.json is named', () => {
  write({ 'package.json': '{' })
  expect(inspectProject(folder, appId).problem).toBe('package.json is not valid JSON.')
})

test('strange shapes are survived', () => {
  write({ 'package.json': '{"scripts":[1],"dependencies":"x"}', 'capacitor.config.json': '[]' })
  expect(inspectProject(folder, appId)).toMatchObject({ hasCapacitorCli: false, webDir: null, problem: null })
})

describe('capawesome.config.json', () => {
  const settings = (...apps: object[]) => ({ 'capawesome.config.json': JSON.stringify({ cloud: { apps } }) })

  test('says where the app is and how it is built', () => {
    write({
      ...settings({
        appId,
        baseDir: './apps/pier/',
        dependencyInstallCommand: 'make deps',
        webBuildCommand: 'make web',
      }),
      'pnpm-lock.yaml': '',
      'apps/pier/package.json': '{}',
      'apps/pier/android/gradlew': '',
    })
    expect(inspectProject(folder, appId)).toMatchObject({
      baseDir: 'apps/pier',
      installDir: '',
      installCommand: 'make deps',
      webBuildCommand: 'make web',
      packageManager: 'pnpm',
      hasGradlew: true,
      problem: null,
    })
  })

  test('is read for the app that is built, else for one without id', () => {
    write({
      ...settings({ appId: 'other', baseDir: 'a' }, { baseDir: 'b' }, { appId, baseDir: 'c' }),
      'c/x': '',
      'b/x': '',
    })
    expect(inspectProject(folder, appId).baseDir).toBe('c')
    expect(inspectProject(folder, 'unknown').baseDir).toBe('b')
  })

  test('gives a lockfile of the app’s own folder the word', () => {
    write({
      ...settings({ baseDir: 'app' }),
      'package-lock.json': '{}',
      'app/yarn.lock': '',
      'app/package.json': '{}',
    })
    expect(inspectProject(folder, appId)).toMatchObject({ packageManager: 'yarn', installDir: 'app' })
  })

  test.each([
    [{ baseDir: '../x' }, 'baseDir in capawesome.config.json must be a folder inside the source.'],
    [{ baseDir: '/etc' }, 'baseDir in capawesome.config.json must be a folder inside the source.'],
    [{ baseDir: 'nowhere' }, 'The source has no folder "nowhere" (baseDir).'],
    [{ webBuildCommand: 7 }, 'webBuildCommand in capawesome.config.json must be a text of at most 2000 characters.'],
    [{ dependencyInstallCommand: ['x'] }, /^dependencyInstallCommand in /],
  ])('with %j is refused with a sentence', (app, sentence) => {
    write(settings(app))
    expect(inspectProject(folder, appId).problem).toMatch(sentence)
  })

  test('without a list of apps is refused', () => {
    write({ 'capawesome.config.json': '{"cloud":{"apps":{}}}' })
    expect(inspectProject(folder, appId).problem).toBe('cloud.apps in capawesome.config.json must be a list.')
  })
})
