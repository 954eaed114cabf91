// The Node client under the command contract: one JSON command a line in, one JSON answer a line out.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createLiveUpdate } from '@capstan/sdk/live-update/node'

const homes = []
let options
let updates

function showing(directory) {
  const page = /<p>(.*)<\/p>/.exec(readFileSync(join(directory, 'index.html'), 'utf8'))[1]
  const script = page === 'built-in' ? null : readFileSync(join(directory, 'assets/app.js'), 'utf8')
  return script === null || script === `show("${page}")` ? page : `a mix of ${page} and ${script}`
}

const commands = {
  async init({ settings }) {
    const home = mkdtempSync(join(tmpdir(), 'capstan-conformance-'))
    homes.push(home)
    const builtInDirectory = join(home, 'built-in')
    mkdirSync(builtInDirectory)
    writeFileSync(join(builtInDirectory, 'index.html'), '<p>built-in</p>')
    options = { ...settings, directory: join(home, 'live'), builtInDirectory }
    updates = await createLiveUpdate(options)
    return {}
  },
  sync: () => updates.sync(),
  async current() {
    updates = await createLiveUpdate(options)
    const { bundleId, directory, nonce } = await updates.launch()
    const page = showing(directory)
    await updates.ready(nonce)
    return { bundleId, page }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  const answer = await commands[command.command](command).then(
    (result) => ({ ok: true, ...result }),
    (error) => ({ ok: false, code: error.code ?? String(error) }),
  )
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
for (const home of homes) rmSync(home, { recursive: true, force: true })
