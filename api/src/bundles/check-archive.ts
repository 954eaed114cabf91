import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type ArchiveErrorCode, type FileDigest } from '@capstan/sdk/archive'
import { Problem } from '../problems.js'

const validator = pathToFileURL(createRequire(import.meta.url).resolve('@capstan/sdk/archive')).href
const TIME_LIMIT_MS = 120_000

// Unpacking is work in proportion to what a stranger sent: it runs beside the threads that answer requests.
const program = `
const { parentPort, workerData } = require('node:worker_threads')
import(workerData.validator)
  .then(({ validateArchive }) => validateArchive(workerData.bytes))
  .then((files) => parentPort.postMessage({ files }))
  .catch((error) => parentPort.postMessage({ code: error.code ?? null, message: error.message }))
`
type Verdict = { files: FileDigest[] } | { code: ArchiveErrorCode | null; message: string }

/** Judges a zip by the rules that the device applies, and lists what it holds. It needs a page to start with. */
export async function checkArchive(bytes: Uint8Array): Promise<FileDigest[]> {
  const verdict = await judge(bytes)
  if (!('files' in verdict)) {
    if (verdict.code === null) throw new Error(`The archive could not be judged: ${verdict.message}`)
    throw new Problem('bundle-archive-invalid', `The zip is refused: ${verdict.message} (${verdict.code})`)
  }
  if (!verdict.files.some(({ path }) => path === 'index.html' || path.endsWith('/index.html'))) {
    throw new Problem(
      'bundle-archive-invalid',
      'The zip holds no index.html, so no app could start it. Zip the web build.',
    )
  }
  return verdict.files
}

function judge(bytes: Uint8Array): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { eval: true, workerData: { validator, bytes } })
    const timer = setTimeout(() => {
      reject(new Problem('bundle-archive-invalid', 'The zip takes too long to unpack. Make it smaller.'))
      void worker.terminate()
    }, TIME_LIMIT_MS)
    worker.once('message', (verdict: Verdict) => {
      clearTimeout(timer)
      resolve(verdict)
      void worker.terminate()
    })
    worker.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}
