import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createApp } from './app.js'
import type { Deps } from './context.js'

/** Writes `api/openapi.json`; with `--check` says whether the committed file is what the routes declare. */
const file = fileURLToPath(new URL('../openapi.json', import.meta.url))
const text = `${JSON.stringify(describeApi(), null, 1)}\n`
if (!process.argv.includes('--check')) await writeFile(file, text)
else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
  process.stderr.write(
    'api/openapi.json is not what the routes declare: run "npm run openapi" and commit the result.\n',
  )
  process.exitCode = 1
}

function describeApi(): object {
  // Registering routes asks nothing of the process's parts; only serving does.
  return createApp({} as Deps).getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Capstan API',
      version: '1',
      description: 'Builds, signing credentials and live updates. Errors are RFC 9457 documents.',
    },
  })
}
