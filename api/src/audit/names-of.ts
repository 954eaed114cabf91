/** Ids for the log, without those that are none. */
export function namesOf(ids: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(ids).flatMap(([key, id]) => (id === null ? [] : [[key, id]])))
}
