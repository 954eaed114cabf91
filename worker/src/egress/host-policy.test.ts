import { describe, expect, test } from 'vitest'
import type { HostPolicy } from './host-policy.js'
import { decide, defaultHosts, parseHostRule, policyForBuild } from './host-policy.js'

const rules = (...texts: string[]) => texts.map((text) => parseHostRule(text)!)
const policy = (changes: Partial<HostPolicy> = {}): HostPolicy => ({
  allowed: rules('registry.npmjs.org', '*.example.com', 'git.example.org:8443'),
  privateAllowed: rules('npm.intern'),
  appHostsCount: true,
  ...changes,
})

describe('a rule', () => {
  test.each(['registry.npmjs.org', '*.example.com', 'NPM.Example.com', 'localhost', 'h.example:8443', '10.1.2.3'])(
    '%s is understood',
    (text) => expect(parseHostRule(text)).toBeDefined(),
  )

  test.each([
    '',
    '*',
    '*.',
    '*.*.com',
    'a*.com',
    '*.10.1.2.3',
    'https://x.com',
    'x.com/path',
    'x.com:0',
    'x.com:65536',
    'x.com:',
    'a b',
    'x..com',
    '-x.com',
    'user@x.com',
    'x.com\n',
    'x'.repeat(64),
  ])('%j is not', (text) => expect(parseHostRule(text === 'x.com\n' ? 'x\n.com' : text)).toBeUndefined())

  test('of the built-in list is always understood', () => {
    expect(defaultHosts.filter((host) => parseHostRule(host) === undefined)).toEqual([])
  })
})

describe('a decision', () => {
  test.each([
    ['registry.npmjs.org', 443, 'public'],
    ['registry.npmjs.org', 80, 'public'],
    ['registry.npmjs.org', 22, 'refused'],
    ['evil-registry.npmjs.org', 443, 'refused'],
    ['registry.npmjs.org.evil.com', 443, 'refused'],
    ['a.example.com', 443, 'public'],
    ['a.b.example.com', 443, 'public'],
    ['example.com', 443, 'refused'],
    ['notexample.com', 443, 'refused'],
    ['git.example.org', 8443, 'public'],
    ['git.example.org', 443, 'refused'],
    ['npm.intern', 443, 'private'],
  ] as const)('on %s:%d is "%s"', (host, port, decision) => expect(decide(policy(), host, port)).toBe(decision))

  test('of an operator who allows every host keeps to the web’s ports and to public addresses', () => {
    const open = policy({ allowed: 'any' })
    expect(decide(open, 'anything.example', 443)).toBe('public')
    expect(decide(open, 'anything.example', 25)).toBe('refused')
    expect(decide(open, 'npm.intern', 443)).toBe('private')
  })
})

describe('the hosts of an app', () => {
  test('come on top of the operator’s, for public addresses only', () => {
    const own = policyForBuild(policy(), ['maven.customer.example', 'npm.intern:4873', '*', 'nonsense/'])
    expect(decide(own, 'maven.customer.example', 443)).toBe('public')
    expect(decide(own, 'npm.intern', 4873)).toBe('public')
    expect(decide(own, 'registry.npmjs.org', 443)).toBe('public')
    expect(decide(own, 'other.example', 443)).toBe('refused')
  })

  test('do not count where the operator says so', () => {
    const own = policyForBuild(policy({ appHostsCount: false }), ['maven.customer.example'])
    expect(decide(own, 'maven.customer.example', 443)).toBe('refused')
  })
})
