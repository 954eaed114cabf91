import { pino } from 'pino'

import { networksOf } from '../src/auth/client-address.js'
import type { Deps } from '../src/context.js'

/** Parts for routes that need only some of them: anything else that a route touches fails the test by name. */
export function bareDeps(parts: Partial<Deps>): Deps {
  const defaults = {
    log: pino({ level: 'silent' }),
    now: () => new Date(),
    publicUrl: 'http://127.0.0.1:4400',
    leaseMs: 60_000,
    channelStatementKey: null,
    proxies: networksOf([]),
    countryOf: null,
    ...parts,
  }
  return new Proxy(defaults as Deps, {
    get(target, name) {
      if (!(name in target)) throw new Error(`this test has no ${String(name)}`)
      return Reflect.get(target, name) as unknown
    },
  })
}
