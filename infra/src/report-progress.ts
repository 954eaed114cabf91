export type Say = (line: string) => void

/** Says what is done before a step that may take long, keeps showing that time passes, and how long it took. */
export async function reportProgress<T>(say: Say, label: string, step: () => Promise<T>): Promise<T> {
  const started = Date.now()
  const seconds = (): string => ((Date.now() - started) / 1000).toFixed(1)
  const announce = setTimeout(() => say(`${label} …`), 1500)
  const ticking = setInterval(() => say(`${label} … ${seconds()} s`), 15_000)
  try {
    const result = await step()
    if (Date.now() - started > 1500) say(`${label}: done in ${seconds()} s`)
    return result
  } finally {
    clearTimeout(announce)
    clearInterval(ticking)
  }
}
