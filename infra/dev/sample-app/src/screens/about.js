import { element } from '../element.js'
import { crossings } from '../timetable.js'

/* global APP_VERSION */
export function showAbout() {
  return [
    element(
      'section',
      { class: 'card' },
      element('h2', {}, 'Harbour'),
      element('p', {}, 'Ferry departures from the old harbour, also where there is no signal.'),
      element(
        'dl',
        {},
        element('div', {}, element('dt', {}, 'Version'), element('dd', {}, APP_VERSION)),
        element('div', {}, element('dt', {}, 'Crossings'), element('dd', {}, String(crossings.length))),
      ),
    ),
  ]
}
