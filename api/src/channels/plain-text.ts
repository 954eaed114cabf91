import { z } from '@hono/zod-openapi'

/** Text that the database can keep: everything but NUL. */
export const plainText = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .regex(/^[^\0]*$/, 'must not hold a NUL character')
