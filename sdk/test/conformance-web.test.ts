import { afterAll, beforeAll } from 'vitest'
import { describeConformance } from './conformance/describe-conformance.js'
import { openWebLab, type WebLab } from './conformance/web-lab.js'

let lab: WebLab
beforeAll(async () => {
  lab = await openWebLab()
})
afterAll(() => lab?.close())

describeConformance('the web client in Chromium', { platform: 'web', open: () => lab.openClient() }, 200)
