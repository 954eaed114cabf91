import { appendFileSync } from 'node:fs'

/** One measurement as one JSON object on a line: in the file `BENCH_REPORT` names, else on stdout. */
export function report(measurement: { name: string } & Record<string, string | number | boolean>): void {
  const line = `${JSON.stringify(measurement)}\n`
  const file = process.env.BENCH_REPORT
  if (file) appendFileSync(file, line)
  else process.stdout.write(line)
}

export function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN
}

export const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits))
