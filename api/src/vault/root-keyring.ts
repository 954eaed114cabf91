import { EnvelopeError } from './envelope-context.js'
import type { RootKeys } from './key-manager.js'

/** Several roots as one: new keys go under the first, older ones only unwrap, and `rewrap` moves to the first. */
export function createRootKeyring(primary: RootKeys, older: readonly RootKeys[] = []): RootKeys {
  const ofKek = (kekId: string): RootKeys => {
    const found = [primary, ...older].find((root) => root.knows(kekId))
    if (found === undefined) throw new EnvelopeError()
    return found
  }
  return {
    id: primary.id,
    generateDek: (ctx) => primary.generateDek(ctx),
    wrap: (key, ctx) => primary.wrap(key, ctx),
    knows: (kekId) => [primary, ...older].some((root) => root.knows(kekId)),
    unwrap: async (key, ctx) => ofKek(key.kekId).unwrap(key, ctx),
    async rewrap(key, ctx) {
      const root = ofKek(key.kekId)
      if (root === primary) return primary.rewrap(key, ctx)
      using unwrapped = await root.unwrap(key, ctx)
      return primary.wrap(unwrapped, ctx)
    },
    health: () => primary.health(),
  }
}
