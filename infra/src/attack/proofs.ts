/**
 * A test as data names it: the end of its path of titles, "describe > test", written as in the source. Of a test with rows
 * (`test.each`) all are meant, or with `row` those whose first value begins with it.
 */
export type TestReference = string | { readonly test: string; readonly row: string }

/** Tests by the file that they stand in. */
export type Proofs = Readonly<Record<string, readonly TestReference[]>>

/** The part of the test runner's JSON report that is read. */
export interface RanTests {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
    }[]
  }[]
}

const PLACEHOLDER = /%[sdifjoO#%]|\$\{[^}]*\}|\$[a-zA-Z_][\w.]*/g

export function titleOf(reference: TestReference): string {
  return typeof reference === 'string' ? reference : reference.test
}

export function describeReference(reference: TestReference): string {
  return typeof reference === 'string' ? reference : `${reference.test} (${reference.row.trim()}…)`
}

/** What the end of a test's path of titles looks like; the titles are joined by `between`. */
export function patternOf(reference: TestReference, between: string): string {
  const row = typeof reference === 'string' ? null : escapeForPattern(reference.row)
  let isFirst = true
  const [start = '', ...rest] = titleOf(reference).split(PLACEHOLDER).map(escapeForPattern)
  const pattern = rest.reduce((text, piece) => {
    const value = isFirst && row !== null ? `${row}.*` : '.*'
    isFirst = false
    return `${text}${value}${piece}`
  }, start)
  return `(?:^|${escapeForPattern(between)})${pattern.replaceAll(' > ', escapeForPattern(between))}$`
}

function escapeForPattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

/** What is wrong with a proof, given what ran: each named test must have run and passed, in all its rows. */
export function judgeProofs(proofs: Proofs, ran: RanTests): { passed: number; complaints: string[] } {
  const complaints: string[] = []
  let passed = 0
  for (const [file, references] of Object.entries(proofs)) {
    const results = ran.testResults.filter(({ name }) => name.endsWith(`/${file}`))
    for (const reference of references) {
      const pattern = new RegExp(patternOf(reference, ' > '), 's')
      const found = results
        .flatMap(({ assertionResults }) => assertionResults)
        .filter(({ ancestorTitles, title }) => pattern.test([...ancestorTitles, title].join(' > ')))
      const bad = found.find(({ status }) => status !== 'passed')
      passed += found.filter(({ status }) => status === 'passed').length
      if (found.length === 0) complaints.push(`did not run: ${file}: ${describeReference(reference)}`)
      else if (bad) complaints.push(`${bad.status}: ${file}: ${describeReference(reference)}`)
    }
  }
  return { passed, complaints }
}
