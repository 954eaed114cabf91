import { formatTime, formatWait } from '../clock.js'
import { element } from '../element.js'
import { departureBoard } from '../timetable.js'

export function showDepartures({ now }) {
  const [next, ...later] = departureBoard(now)
  return [
    element(
      'a',
      { class: 'hero', href: `#/crossing/${next.crossing.id}` },
      element('span', { class: 'hero-label' }, `Next boat · quay ${next.crossing.quay}`),
      element('strong', { class: 'hero-place' }, next.crossing.to),
      element('span', { class: 'hero-time' }, `${formatTime(next.at)} · ${formatWait(next.at - now)}`),
    ),
    element('ul', { class: 'list' }, ...later.map((departure) => departureRow(departure, now))),
  ]
}

export function departureRow({ crossing, at }, now) {
  return element(
    'li',
    {},
    element(
      'a',
      { class: 'row', href: `#/crossing/${crossing.id}` },
      element('span', { class: 'row-time' }, formatTime(at)),
      element(
        'span',
        { class: 'row-text' },
        element('strong', {}, crossing.to),
        element('small', {}, `${crossing.vessel} · ${crossing.duration} min`),
      ),
      element('span', { class: 'row-wait' }, formatWait(at - now)),
    ),
  )
}
