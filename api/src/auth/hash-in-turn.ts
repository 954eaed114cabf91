import { limitWork } from '../limit-work.js'

/** Hashing a password takes 128 MiB and a thread of the pool that files are read with; strangers may ask for it. */
export const hashInTurn = limitWork({ atOnce: 2, waiting: 16 })
