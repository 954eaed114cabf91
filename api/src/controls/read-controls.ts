import { readFileSync } from 'node:fs'
import { z } from 'zod'

const TestTitle = z.union([z.string(), z.object({ test: z.string(), row: z.string() })])

/** One promise of ours, whether it is kept, and the tests that show it; `controls.json` has them all. */
export const Control = z.strictObject({
  id: z.string(),
  control: z.string(),
  state: z.enum(['in_place', 'partial', 'planned']),
  /** What there is not, where it is not in place. */
  missing: z.string().optional(),
  /** Cases of `infra/attack/cases.json`. */
  cases: z.array(z.string()).optional(),
  /** Titles of tests by their file. */
  tests: z.record(z.string(), z.array(TestTitle)).optional(),
})
export type Control = z.infer<typeof Control>

let known: Control[] | undefined

export function readControls(): Control[] {
  known ??= z.array(Control).parse(JSON.parse(readFileSync(new URL('../../controls.json', import.meta.url), 'utf8')))
  return known
}
