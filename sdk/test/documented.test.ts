import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))
const manifest = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { exports: Record<string, string> }
const entries = Object.values(manifest.exports).map((file) => at(file.replace('./dist/', 'src/').replace('.js', '.ts')))

test('everything that the package exports says what it is, and functions what they throw', () => {
  const program = ts.createProgram(entries, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    types: ['node'],
  })
  const checker = program.getTypeChecker()
  const silent = new Set<string>()
  let seen = 0
  for (const entry of entries) {
    const source = program.getSourceFile(entry)
    const exported = source && checker.getSymbolAtLocation(source)
    for (const symbol of exported ? checker.getExportsOfModule(exported) : []) {
      const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
      const [declaration] = real.declarations ?? []
      seen++
      if (real.getDocumentationComment(checker).length === 0) silent.add(symbol.name)
      const throws = declaration && ts.isFunctionDeclaration(declaration) && /\bthrow /.test(declaration.getText())
      if (throws && !real.getJsDocTags().some(({ name }) => name === 'throws')) silent.add(`${symbol.name}: @throws`)
    }
  }
  expect(seen).toBeGreaterThan(100)
  expect([...silent]).toEqual([])
})
