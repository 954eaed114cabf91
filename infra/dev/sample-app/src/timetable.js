// Every crossing leaves at `first`, then each `every` minutes until `last` (minutes of the day).
export const crossings = [
  { id: 'skerry', to: 'Skerry Island', quay: 1, vessel: 'Kittiwake', duration: 25, first: 330, every: 40, last: 1410 },
  {
    id: 'north-light',
    to: 'North Light',
    quay: 3,
    vessel: 'Guillemot',
    duration: 55,
    first: 360,
    every: 95,
    last: 1380,
  },
  { id: 'seal-bay', to: 'Seal Bay', quay: 2, vessel: 'Puffin', duration: 15, first: 315, every: 25, last: 1425 },
  {
    id: 'mainland',
    to: 'Mainland Pier',
    quay: 4,
    vessel: 'Great Skua',
    duration: 40,
    first: 300,
    every: 60,
    last: 1380,
  },
  {
    id: 'causeway',
    to: 'Causeway End',
    quay: 3,
    vessel: 'Turnstone',
    duration: 70,
    first: 420,
    every: 150,
    last: 1320,
  },
]

export function findCrossing(id) {
  return crossings.find((crossing) => crossing.id === id)
}

/** The next departures of one crossing, in minutes from midnight; past the last boat they are tomorrow's. */
export function nextDepartures(crossing, now, count) {
  const missed = Math.max(0, Math.ceil((now - crossing.first) / crossing.every))
  const departures = []
  const today = crossing.first + missed * crossing.every
  for (let at = today; at <= crossing.last && departures.length < count; at += crossing.every) departures.push(at)
  for (let at = 1440 + crossing.first; departures.length < count; at += crossing.every) departures.push(at)
  return departures
}

/** What leaves next over all crossings, soonest first. */
export function departureBoard(now) {
  return crossings
    .flatMap((crossing) => nextDepartures(crossing, now, 2).map((at) => ({ crossing, at })))
    .sort((one, other) => one.at - other.at)
    .slice(0, 7)
}
