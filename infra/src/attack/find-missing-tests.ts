import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describeReference, type Proofs, titleOf } from './proofs.js'

/** The text of a test file and of the test files that it takes its tests from. */
function sourcesOf(file: string, seen = new Set<string>()): string {
  if (seen.has(file) || !existsSync(file)) return ''
  seen.add(file)
  const text = readFileSync(file, 'utf8')
  const imported = [...text.matchAll(/from '(\.[^']*)\.js'/g)].map(([, path = '']) => join(dirname(file), `${path}.ts`))
  return [text, ...imported.filter((path) => path.includes('/test/')).map((path) => sourcesOf(path, seen))].join('\n')
}

/** Whether a title stands in the source as a whole string, on its own or as the end of a template's. */
function hasTitle(source: string, title: string): boolean {
  return ["'", '"', '`'].some((quote) => {
    const written = quote === "'" ? title.replaceAll("'", String.raw`\'`) : title
    return source.includes(`${quote}${written}${quote}`)
  })
}

/** The tests that data names and no file has, one sentence each. Fast: reads sources, runs nothing. */
export function findMissingTests(checkout: string, proofs: Proofs): string[] {
  return Object.entries(proofs).flatMap(([file, references]) => {
    const source = sourcesOf(join(checkout, file))
    if (source === '') return [`there is no file ${file}`]
    return references
      .filter((reference) =>
        titleOf(reference)
          .split(' > ')
          .some((title) => !hasTitle(source, title)),
      )
      .map((reference) => `${file} has no test "${describeReference(reference)}"`)
  })
}
