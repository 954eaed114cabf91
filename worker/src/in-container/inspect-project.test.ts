import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { inspectProject } from './inspect-project.js'

let folder: string

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
  expect(inspectProject(folder)).toEqual({
    packageManager: 'npm',
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
  expect(inspectProject(folder).packageManager).toBe(manager)
})

test('an empty folder is no project and no crash', () => {
  expect(inspectProject(folder)).toMatchObject({ packageManager: null, webDir: null, hasGradlew: false, problem: null })
})

test('the folder of a framework is found without configuration', () => {
  write({ 'www/index.html': '' })
  expect(inspectProject(folder).webDir).toBe('www')
})

test('a broken package.json is named', () => {
  write({ 'package.json': '{' })
  expect(inspectProject(folder).problem).toBe('package.json is not valid JSON.')
})

test('strange shapes are survived', () => {
  write({ 'package.json': '{"scripts":[1],"dependencies":"x"}', 'capacitor.config.json': '[]' })
  expect(inspectProject(folder)).toMatchObject({ hasCapacitorCli: false, webDir: null, problem: null })
})
