/** The image that `npm test` made or found. */
export function builderImage(): string {
  const image = process.env['TEST_BUILDER_IMAGE']
  if (!image) throw new Error('TEST_BUILDER_IMAGE is not set: run the tests with `npm test`.')
  return image
}
