import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

const { resolve } = createRequire(import.meta.url)

/** The compiled text of a script for the container; `node --input-type=module -` runs it from standard input. */
export async function inContainerScript(
  name:
    | 'receive-source'
    | 'unpack-source'
    | 'inspect-project'
    | 'override-names'
    | 'relay'
    | 'unpack-cache'
    | 'connect-through',
): Promise<Buffer> {
  return readFile(resolve(`@capstan/worker/in-container/${name}`))
}

export const scriptRunner = ['node', '--input-type=module', '-'] as const

/** The script as an address that another one can import: a container has no file of it. */
export async function importableScript(name: Parameters<typeof inContainerScript>[0]): Promise<string> {
  return `data:text/javascript;base64,${(await inContainerScript(name)).toString('base64')}`
}
