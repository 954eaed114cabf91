/**
 * Passes a source on and tells of its own failure only: a consumer that gives up throws into a generator at its `yield`,
 * which must not be taken for a broken source.
 */
export async function* watchSource<T>(
  source: AsyncIterable<T>,
  onFailure: (error: unknown) => void,
): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  const next = async () => {
    try {
      return await iterator.next()
    } catch (error) {
      onFailure(error)
      throw error
    }
  }
  try {
    for (let step = await next(); step.done !== true; step = await next()) yield step.value
  } finally {
    await iterator.return?.()
  }
}
