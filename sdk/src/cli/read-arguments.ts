import { parseArgs } from 'node:util'
import { UsageError } from './command.js'

/** The options and operands of one call. */
export interface Arguments {
  operands: string[]
  /** The value of an option, or `null`. */
  get(name: string): string | null
  /** The value of an option that must be there. */
  need(name: string): string
  has(flag: string): boolean
}

/**
 * Reads a command line strictly: unknown options and wrong numbers of operands are refused.
 *
 * @param names options that take a value
 * @param flags options that take none
 */
export function readArguments(
  args: string[],
  { names, flags = [], operands }: { names: readonly string[]; flags?: readonly string[]; operands: readonly string[] },
): Arguments {
  const options = Object.fromEntries([
    ...names.map((name) => [name, { type: 'string' as const }]),
    ...flags.map((name) => [name, { type: 'boolean' as const }]),
  ])
  let parsed: { values: Record<string, string | boolean | undefined>; positionals: string[] }
  try {
    parsed = parseArgs({ args, options, allowPositionals: true, strict: true }) as typeof parsed
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'The options cannot be read.')
  }
  const { values, positionals } = parsed
  if (positionals.length !== operands.length) {
    throw new UsageError(
      operands.length === 0 ? `"${positionals[0]}" is not expected.` : `Expected ${operands.join(' ')}.`,
    )
  }
  const get = (name: string): string | null => (typeof values[name] === 'string' ? values[name] : null)
  return {
    operands: positionals,
    get,
    need(name) {
      const value = get(name)
      if (value === null || value === '') throw new UsageError(`--${name} is missing.`)
      return value
    },
    has: (flag) => values[flag] === true,
  }
}

/** A whole number in a range, from an option. */
export function readInteger(text: string, option: string, range: { min: number; max: number }): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= range.min && value <= range.max)) {
    throw new UsageError(`--${option} must be a whole number from ${range.min} to ${range.max}.`)
  }
  return value
}
