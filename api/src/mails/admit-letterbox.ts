import { limitRate } from '../limit-rate.js'

/** Of codes that anybody may have mailed to one address: nobody's letterbox is filled from here. */
export const admitLetterbox = limitRate({ burst: 3, perSecond: 1 / 900 })
