import { expect, test } from 'vitest'
import type { BuildRun } from './build-run.js'
import { chooseTools, refuseWithoutManager } from './choose-tools.js'
import type { Project, Tools } from './inspect-sandbox.js'

const tools: Tools = {
  path: '/usr/bin:/bin',
  node: { '20.19.0': '/opt/node/20.19.0', '22.3.0': '/opt/node/22.3.0', '22.11.0': '/opt/node/22.11.0' },
  java: { '17': '/usr/lib/jvm/java-17' },
  programs: ['npm', 'pnpm'],
}
const choose = (variables: Record<string, string>) =>
  chooseTools({ spec: { variables }, secretVariables: {} } as unknown as BuildRun, tools)

test('without variables the image’s own versions are used', () => {
  expect(choose({})).toEqual({})
})

test.each([
  ['20', '/opt/node/20.19.0/bin:/usr/bin:/bin'],
  ['v22', '/opt/node/22.11.0/bin:/usr/bin:/bin'],
  ['22.3', '/opt/node/22.3.0/bin:/usr/bin:/bin'],
])('Node %s is the newest that fits', (version, path) => {
  expect(choose({ NODE_VERSION: version })).toEqual({ PATH: path })
})

test('Java is found by its number', () => {
  const path = '/usr/lib/jvm/java-17/bin:/usr/bin:/bin'
  expect(choose({ JAVA_VERSION: '17' })).toEqual({ PATH: path, JAVA_HOME: '/usr/lib/jvm/java-17' })
})

test.each([{ NODE_VERSION: '2' }, { NODE_VERSION: '18' }, { NODE_VERSION: '../x' }, { JAVA_VERSION: '21' }])(
  '%j is a failure that says what there is',
  (variables) => {
    expect(() => choose(variables)).toThrow(expect.objectContaining({ code: 'tool-version-missing' }))
    expect(() => choose(variables)).toThrow(/^The builder image has (?:Node 20\.19\.0, |Java 17)/)
  },
)

test('a package manager that the image lacks is named, unless the project installs by a command of its own', () => {
  const project = (changes: Partial<Project>) => ({ installCommand: null, ...changes }) as Project
  expect(() => refuseWithoutManager(project({ packageManager: 'bun' }), tools)).toThrow(/one of bun, which/)
  expect(() => refuseWithoutManager(project({ packageManager: 'yarn-berry' }), tools)).toThrow(/one of yarn, which/)
  refuseWithoutManager(project({ packageManager: 'bun', installCommand: './install' }), tools)
  refuseWithoutManager(project({ packageManager: 'npm-unlocked' }), tools)
  refuseWithoutManager(project({ packageManager: null }), tools)
})
