import { formatTime, formatWait } from '../clock.js'
import { element } from '../element.js'
import { savedCrossings, toggleSaved } from '../saved-crossings.js'
import { findCrossing, nextDepartures } from '../timetable.js'

export function showCrossing({ id, now, render }) {
  const crossing = findCrossing(id)
  if (!crossing) return [element('p', { class: 'empty' }, 'This crossing is not in the timetable.')]
  const saved = savedCrossings().includes(id)
  const toggle = () => {
    toggleSaved(id)
    render()
  }
  const facts = [
    ['Quay', String(crossing.quay)],
    ['Vessel', crossing.vessel],
    ['Crossing', `${crossing.duration} min`],
    ['Last boat', formatTime(crossing.last)],
  ]
  return [
    element(
      'section',
      { class: 'card' },
      element('h2', {}, crossing.to),
      element(
        'dl',
        {},
        ...facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))),
      ),
      element(
        'button',
        { type: 'button', class: 'action', onclick: toggle },
        saved ? '★ Saved' : '☆ Save this crossing',
      ),
    ),
    element('h3', { class: 'section' }, 'Next departures'),
    element(
      'ol',
      { class: 'times' },
      ...nextDepartures(crossing, now, 6).map((at) =>
        element('li', {}, element('strong', {}, formatTime(at)), element('span', {}, formatWait(at - now))),
      ),
    ),
  ]
}
