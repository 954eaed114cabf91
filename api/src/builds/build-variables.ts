import { z } from '@hono/zod-openapi'

export const MAX_VARIABLES = 200
export const MAX_TOTAL_BYTES = 96 * 1024

/** Text that PostgreSQL can keep: it has no NUL character and no half of a surrogate pair. */
export const storableText = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((text) => !text.includes('\0') && text.isWellFormed(), 'is not plain text')

/** They reach the build as environment values, so a name is what every shell accepts. */
export const VariableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'a variable name is letters, digits and underscores')

/** Variables of one build. */
export const BuildVariables = z
  .record(VariableName, storableText(MAX_TOTAL_BYTES))
  .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, `at most ${MAX_VARIABLES} variables`)
  .refine(
    (variables) => Buffer.byteLength(Object.entries(variables).flat().join('')) <= MAX_TOTAL_BYTES,
    `all variables together have at most ${MAX_TOTAL_BYTES} bytes`,
  )
