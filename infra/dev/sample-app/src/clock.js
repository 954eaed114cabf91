export function minutesOfDay(date) {
  return date.getHours() * 60 + date.getMinutes()
}

export function formatTime(minutes) {
  const inDay = minutes % 1440
  return `${String(Math.floor(inDay / 60)).padStart(2, '0')}:${String(inDay % 60).padStart(2, '0')}`
}

export function formatWait(minutes) {
  if (minutes < 1) return 'now'
  if (minutes < 60) return `in ${minutes} min`
  const rest = minutes % 60
  return rest === 0 ? `in ${Math.floor(minutes / 60)} h` : `in ${Math.floor(minutes / 60)} h ${rest} min`
}
