import { limitWork } from '../limit-work.js'

/**
 * Reading and judging a whole bundle: each has an archive of up to 200 MiB in memory, twice, and a thread of its own.
 * Never nested: the outer one would wait for a place that it holds itself.
 */
export const limitChecks = limitWork({ atOnce: 2, waiting: 50 })
