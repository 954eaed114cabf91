import type { CacheQuestion } from '@capstan/migrations/messages'
import type { Project } from './inspect-sandbox.js'

export type CachedManager = CacheQuestion['packageManager']

/** On the disk of the build and not in its /tmp, so that pnpm can link instead of copying. */
const root = '/work/cache'

type Store = {
  /** What is kept: downloads, and none of the tool's own notes and logs. */
  folder: string
  /** What makes the tool keep its downloads there. */
  environment: Readonly<Record<string, string>>
}

export const stores: Readonly<Record<CachedManager, Store>> = {
  npm: { folder: `${root}/npm/_cacache`, environment: { npm_config_cache: `${root}/npm` } },
  pnpm: {
    folder: `${root}/pnpm`,
    environment: { npm_config_store_dir: `${root}/pnpm`, pnpm_config_store_dir: `${root}/pnpm` },
  },
  yarn: { folder: `${root}/yarn`, environment: { YARN_CACHE_FOLDER: `${root}/yarn` } },
  'yarn-berry': { folder: `${root}/berry/cache`, environment: { YARN_GLOBAL_FOLDER: `${root}/berry` } },
  bun: { folder: `${root}/bun`, environment: { BUN_INSTALL_CACHE_DIR: `${root}/bun` } },
}

/** The tool whose downloads a lockfile pins; undefined where nothing does. */
export function cachedManagerOf({ packageManager, lockfileSha256 }: Project): CachedManager | undefined {
  if (packageManager === null || packageManager === 'npm-unlocked' || lockfileSha256 === null) return undefined
  return packageManager
}
