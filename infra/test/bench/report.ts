import { appendFileSync } from 'node:fs'

/** One measurement as one JSON object on a line: in the file `BENCH_REPORT` names, else on stdout. */
export function report(measurement: { name: string } & Record<string, string | number | boolean>): void {
  const line = `${JSON.stringify(measurement)}\n`
  const file = process.env['BENCH_REPORT']
  if (file) appendFileSync(file, line)
  else process.stdout.write(line)
}

/** The value below which this share of all values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN)
}
