import type { Config } from '../config.js'
import { missing } from '../failure.js'

export async function runDemo(_config: Config, _args: readonly string[]): Promise<number> {
  throw missing('wip')
}
