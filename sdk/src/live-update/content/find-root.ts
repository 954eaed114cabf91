import { LiveUpdateError } from '../live-update-error.js'

/**
 * The folder of index.html: the root, else the first one that has it, shallow before deep.
 *
 * @throws {LiveUpdateError} `INDEX_MISSING`
 */
export function findRoot(paths: readonly string[]): string {
  const roots = paths
    .filter((path) => path === 'index.html' || path.endsWith('/index.html'))
    .map((path) => path.slice(0, -'index.html'.length).replace(/\/$/, ''))
    .toSorted((a, b) => a.split('/').length - b.split('/').length || (a < b ? -1 : 1))
  const [root] = roots
  if (root === undefined) throw new LiveUpdateError('INDEX_MISSING', 'The bundle has no index.html.')
  return root
}
