/** How long something takes. */
export async function milliseconds(run) {
  const started = performance.now()
  await run()
  return performance.now() - started
}
