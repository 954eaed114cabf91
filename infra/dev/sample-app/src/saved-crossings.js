const key = 'saved-crossings'

export function savedCrossings() {
  try {
    const ids = JSON.parse(localStorage.getItem(key) ?? '["seal-bay"]')
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : []
  } catch {
    return []
  }
}

export function toggleSaved(id) {
  const saved = savedCrossings()
  const next = saved.includes(id) ? saved.filter((other) => other !== id) : [...saved, id]
  localStorage.setItem(key, JSON.stringify(next))
}
