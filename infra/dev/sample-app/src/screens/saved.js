import { element } from '../element.js'
import { savedCrossings } from '../saved-crossings.js'
import { findCrossing, nextDepartures } from '../timetable.js'
import { departureRow } from './departures.js'

export function showSaved({ now }) {
  const saved = savedCrossings()
    .map(findCrossing)
    .filter((crossing) => crossing !== undefined)
  if (saved.length === 0) {
    return [element('p', { class: 'empty' }, 'Nothing saved yet. Open a crossing and press its star.')]
  }
  const rows = saved.map((crossing) => departureRow({ crossing, at: nextDepartures(crossing, now, 1)[0] }, now))
  return [element('ul', { class: 'list' }, ...rows)]
}
