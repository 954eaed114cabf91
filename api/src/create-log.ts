import { pino, type DestinationStream, type Logger } from 'pino'

const DEPTH = 3

/** The log of one process: JSON lines on standard output. */
export function createLog(component: string, level: string, destination?: DestinationStream): Logger {
  const options = { level, base: { component }, serializers: { err: describeError } }
  return destination ? pino(options, destination) : pino(options)
}

type Described = {
  type: string
  code?: string
  constraint?: string
  message: string
  stack?: string
  cause?: Described
}

/**
 * What a log may say of an error. A failed query carries its text and its values (token hashes, addresses) in its
 * message, its properties and its causes; of those only the code, the constraint and the place stay.
 */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { type: typeof error }
  const fromDatabase = 'query' in error || 'severity' in error
  const message = fromDatabase ? 'A query failed.' : error.message
  const described: Described = { type: error.name, message, stack: placeOf(error) }
  if ('code' in error && ['string', 'number'].includes(typeof error.code)) described.code = String(error.code)
  if ('constraint_name' in error && typeof error.constraint_name === 'string') {
    described.constraint = error.constraint_name
  }
  if (error.cause instanceof Error && depth < DEPTH)
    described.cause = describeError(error.cause, depth + 1) as Described
  return described
}

/** The frames of a stack, without the message that stands before them. */
function placeOf({ stack }: Error): string {
  const frames = (stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return frames.map((line) => line.trim()).join('\n')
}
