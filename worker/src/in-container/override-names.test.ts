import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { overrideNames } from './override-names.js'

let android: string
const strings = 'app/src/main/res/values/strings.xml'
const read = (name: string) => readFileSync(join(android, name), 'utf8')

function write(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(android, name)), { recursive: true })
    writeFileSync(join(android, name), content)
  }
}

beforeEach(() => {
  android = mkdtempSync(join(tmpdir(), 'capstan-android-'))
})
afterEach(() => rmSync(android, { recursive: true }))

test.each([
  ['app/build.gradle', 'defaultConfig { applicationId "com.example.pier" }'],
  ['app/build.gradle', "defaultConfig { applicationId 'com.example.pier' }"],
  ['app/build.gradle.kts', 'defaultConfig { applicationId = "com.example.pier" }'],
])('the application id in %s is replaced: %s', (name, content) => {
  write({ [name]: `namespace "com.example.pier"\n${content}` })
  expect(overrideNames(android, { packageName: 'com.example.quay' })).toEqual(['Application id com.example.quay'])
  expect(read(name)).toContain('"com.example.quay"')
  expect(read(name)).toContain('namespace "com.example.pier"')
})

test('the display name is written so that neither XML nor the resource compiler reads it as something else', () => {
  write({
    [strings]:
      '<resources><string name="app_name">Pier</string><string name="title_activity_main">Pier</string></resources>',
  })
  overrideNames(android, { displayName: `Pier's & <Quay> $1 "9"` })
  const written = String.raw`Pier\'s &amp; &lt;Quay&gt; $1 \"9\"`
  expect(read(strings)).toBe(
    `<resources><string name="app_name">${written}</string><string name="title_activity_main">${written}</string></resources>`,
  )
})

test('a name with no place in the project is a failure', () => {
  write({ 'app/build.gradle': 'android {}', [strings]: '<resources/>' })
  expect(() => overrideNames(android, { packageName: 'com.example.quay' })).toThrow(/no applicationId/)
  expect(() => overrideNames(android, { displayName: 'Quay' })).toThrow(/no app_name/)
})

test.each(['quay', 'com..x', 'com.x"; System.exit(1)', 'com.1x'])('%j is no package name', (packageName) => {
  write({ 'app/build.gradle': 'applicationId "com.example.pier"' })
  expect(() => overrideNames(android, { packageName })).toThrow(/not a package name/)
  expect(read('app/build.gradle')).toBe('applicationId "com.example.pier"')
})
