import { fileURLToPath } from 'node:url'
import { commandClient } from './conformance/command-client.js'
import { describeConformance } from './conformance/describe-conformance.js'

const script = fileURLToPath(new URL('conformance/node-client.mjs', import.meta.url))

describeConformance(
  'the Node client',
  { platform: 'electron', open: () => Promise.resolve(commandClient([process.execPath, script])) },
  500,
)
