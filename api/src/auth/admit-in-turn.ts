import { limitWork } from '../limit-work.js'

/**
 * To know who uploads takes a dozen questions to the database. Fifty uploads in one moment would take all its connections
 * and processors, and every other request would wait behind them; one after the other they are known as soon. Nobody
 * holds the place while a body comes in.
 */
export const admitInTurn = limitWork({ atOnce: 1, waiting: 10_000 })
