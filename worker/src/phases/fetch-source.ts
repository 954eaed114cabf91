import type { Readable } from 'node:stream'
import type { BuildSourceSpec } from '@capstan/migrations/messages'
import { BuildFailure, platformFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { sourceDir, toolDir } from '../build-run.js'
import type { HostRule } from '../egress/host-policy.js'
import { parseHostRule } from '../egress/host-policy.js'
import { withEgress } from '../egress/open-egress.js'
import { importableScript, inContainerScript, scriptRunner } from '../in-container-script.js'
import { approval, exitUnapproved } from '../in-container/receive-source.js'
import { exitDiskFull, exitInvalid } from '../in-container/unpack-source.js'
import type { Inspection } from '../inspect-sandbox.js'
import { inspectSandbox, readInspection } from '../inspect-sandbox.js'
import { exitCodeOf, runCommand } from '../run-command.js'
import { download, TransferMismatch, TransferRefused } from '../signed-url.js'
import { fetchGit } from './fetch-git.js'
import { fetchUrl } from './fetch-url.js'

const archive = `${toolDir}/source.zip`
const mebibyte = 1024 * 1024
/** Of what a project says of itself. */
const printedCap = 256 * 1024

/** Brings the source into the container and says what it is. */
export async function fetchSource(run: BuildRun, sandbox: Sandbox): Promise<Inspection> {
  const { source } = run.spec
  if (source.kind === 'archive') return fetchArchive(run, sandbox, source)
  if (source.kind === 'git') {
    const alsoAllowed = hostOf(source.url)
    await withEgress(run, sandbox, { phase: 'fetch-source', alsoAllowed }, () => fetchGit(run, sandbox, source))
  } else await fetchFromUrl(run, sandbox, source)
  return inspectSandbox(run, sandbox, 'fetch-source')
}

type UrlSource = Extract<BuildSourceSpec, { kind: 'url' }>

async function fetchFromUrl(run: BuildRun, sandbox: Sandbox, source: UrlSource): Promise<void> {
  const deliver = (stdin: Readable) => store(run, sandbox, stdin)
  await fetchUrl(run, source, { alsoAllowed: hostOf(source.url), deliver })
  return unpack(run, sandbox)
}

/** The host that the app's members named as the place of their source. */
function hostOf(address: string): HostRule[] {
  if (!URL.canParse(address)) return []
  const { protocol, hostname, port } = new URL(address)
  const rule = parseHostRule(`${hostname}:${port || (protocol === 'ssh:' ? 22 : 443)}`)
  return rule ? [rule] : []
}

type Archive = Extract<BuildSourceSpec, { kind: 'archive' }>

const shared = { phase: 'fetch-source', failureCode: 'source-failed', subject: 'Unpacking the source' } as const

/** The hash of an archive is compared before anything looks inside it: the container waits for the worker's word. */
async function fetchArchive(run: BuildRun, { containerId }: Sandbox, source: Archive): Promise<Inspection> {
  const { limits, appId } = run.spec
  if (source.sizeBytes > limits.diskBytes) throw diskFull(limits.diskBytes)
  const [script, ...others] = await Promise.all([
    inContainerScript('receive-source'),
    importableScript('unpack-source'),
    importableScript('inspect-project'),
  ])
  const inputs = [...others, String(source.sizeBytes), archive, sourceDir, appId]
  const argv = ['node', '--input-type=module', '-e', script.toString('utf8'), 'capstan-receive', ...inputs]
  let printed = ''
  const receive = async (stdin: Readable) => {
    printed = ''
    const onStdout = (chunk: Buffer) => {
      if (printed.length < printedCap) printed += chunk.toString('utf8')
    }
    const exitCode = await exitCodeOf(run, { ...shared, containerId, argv, stdin, onStdout })
    if (exitCode !== exitUnapproved) refuse(run, exitCode, printed)
  }
  await download(source.url, { ...source, approval }, receive, run.signal).catch(explain)
  const inspection = readInspection(printed)
  run.logs.note('fetch-source', `Received ${source.sizeBytes} bytes, SHA-256 ${source.sha256}`)
  run.logs.note('fetch-source', `${inspection.entries} entries`)
  return inspection
}

function explain(error: unknown): never {
  if (error instanceof TransferRefused) {
    throw platformFailure('source-unavailable', `The source cannot be downloaded: ${error.message}.`, error)
  }
  if (!(error instanceof TransferMismatch)) throw error
  throw new BuildFailure(
    'source-corrupt',
    'The source is not the one that was uploaded: size or SHA-256 differ. Upload it again.',
    { cause: error },
  )
}

function store(run: BuildRun, { containerId }: Sandbox, stdin: Readable): Promise<void> {
  return runCommand(run, {
    ...shared,
    containerId,
    argv: ['sh', '-c', `mkdir -p ${toolDir} && cat > ${archive}`],
    stdin,
  })
}

async function unpack(run: BuildRun, { containerId }: Sandbox): Promise<void> {
  let complaint = ''
  const exitCode = await exitCodeOf(run, {
    ...shared,
    containerId,
    argv: ['sh', '-c', `"$@" 2>&1; code=$?; rm -f ${archive}; exit $code`, 'sh', ...scriptRunner, archive, sourceDir],
    stdin: await inContainerScript('unpack-source'),
    onStdout: (chunk) => {
      if (complaint.length < 1_000) complaint += chunk.toString('utf8')
    },
  })
  refuse(run, exitCode, complaint)
  run.logs.note('fetch-source', run.secrets.maskText(complaint.trim()).slice(0, 500))
}

/** Why the source was not unpacked. */
function refuse(run: BuildRun, exitCode: number, complaint: string): void {
  if (exitCode === 0) return
  const said = run.secrets.maskText(complaint.trim()).slice(0, 500)
  if (exitCode === exitDiskFull) throw diskFull(run.spec.limits.diskBytes)
  if (exitCode === exitInvalid) {
    throw new BuildFailure('source-invalid', `The source archive is refused: ${said}. Create it again.`)
  }
  run.logs.note('fetch-source', said)
  throw new BuildFailure('source-failed', `Unpacking the source failed with exit code ${exitCode}.`)
}

const diskFull = (diskBytes: number) =>
  new BuildFailure(
    'disk-full',
    `The source does not fit on the ${Math.floor(diskBytes / mebibyte)} MiB disk of the build.`,
  )
