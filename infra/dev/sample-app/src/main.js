import { formatTime, minutesOfDay } from './clock.js'
import { showAbout } from './screens/about.js'
import { showCrossing } from './screens/crossing.js'
import { showDepartures } from './screens/departures.js'
import { showSaved } from './screens/saved.js'

const screen = document.getElementById('screen')
const title = document.getElementById('title')
const clock = document.getElementById('clock')
const back = document.querySelector('.back')

const screens = [
  { pattern: /^#\/saved$/, tab: 'saved', title: 'Saved crossings', show: showSaved },
  { pattern: /^#\/about$/, tab: 'about', title: 'About', show: showAbout },
  { pattern: /^#\/crossing\/([a-z-]+)$/, tab: 'departures', title: 'Crossing', show: showCrossing, inner: true },
  { pattern: /.*/, tab: 'departures', title: 'Departures', show: showDepartures },
]

function render() {
  const current = screens.find((candidate) => candidate.pattern.test(location.hash))
  const [, id] = current.pattern.exec(location.hash) ?? []
  title.textContent = current.title
  back.hidden = !current.inner
  for (const tab of document.querySelectorAll('[data-tab]')) {
    if (tab.dataset.tab === current.tab) tab.setAttribute('aria-current', 'page')
    else tab.removeAttribute('aria-current')
  }
  screen.replaceChildren(...current.show({ id, now: minutesOfDay(new Date()), render }))
}

function tick() {
  clock.textContent = formatTime(minutesOfDay(new Date()))
}

window.addEventListener('hashchange', () => {
  render()
  screen.focus()
})
setInterval(() => {
  tick()
  render()
}, 30_000)
tick()
render()
