import type { BuildSourceSpec, GitCredential } from '@capstan/migrations/messages'
import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { sourceDir, toolDir, toolEnvironment } from '../build-run.js'
import { inContainerScript } from '../in-container-script.js'
import { captureCommand, exitCodeOf, runCommand } from '../run-command.js'
import { sshCommand } from './git-ssh.js'

type GitSource = Extract<BuildSourceSpec, { kind: 'git' }>

const credentialDir = `${toolDir}/git`
const shared = { phase: 'fetch-source', failureCode: 'git-fetch-failed', subject: 'Fetching from git' } as const

/**
 * One commit, fetched inside the build container by git itself: no history, no tags, no submodules, no hooks, no redirect
 * to another host, no transport but the two. Address and reference come after `--end-of-options`. None of the customer's
 * variables is there, so none of them can lead git's credential elsewhere; the credential is gone before any command of
 * the customer runs.
 */
const script = `set -eu
if [ -f ${toolDir}/extra-ca.pem ]; then
  cat /etc/ssl/certs/ca-certificates.crt ${toolDir}/extra-ca.pem > ${toolDir}/git-ca.pem
  export GIT_SSL_CAINFO=${toolDir}/git-ca.pem
fi
git init -q "$2"
cd "$2"
git fetch -q --depth 1 --no-tags --no-recurse-submodules --end-of-options "$1" "$3"
git checkout -q --detach FETCH_HEAD
`

const settings: Record<string, string> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'protocol.allow': 'never',
  'protocol.https.allow': 'always',
  'protocol.ssh.allow': 'always',
  'http.followRedirects': 'false',
  'submodule.recurse': 'false',
  'advice.detachedHead': 'false',
  'init.defaultBranch': 'main',
  'gc.auto': '0',
}

/** Answers what git asks for out of two files; \`$1\` is git's question. */
const askpass = `#!/bin/sh
case "$1" in Username*) cat ${credentialDir}/username ;; *) cat ${credentialDir}/password ;; esac
`

export async function fetchGit(run: BuildRun, { containerId }: Sandbox, source: GitSource): Promise<void> {
  refuseOdd(source)
  const credential =
    source.auth === 'none' ? null : await run.broker.openGitCredential(run.leaseToken, run.attempt, run.signal)
  if (credential) for (const secret of secretsOf(credential)) run.secrets.add(secret)
  const env = gitEnvironment(run, credential)
  run.logs.note('fetch-source', `Fetching ${source.ref} from ${source.url}`)
  try {
    for (const [name, text] of Object.entries(credential ? await filesOf(credential) : {})) {
      await writeFile(run, containerId, { name, text })
    }
    const argv = ['sh', '-c', script, 'sh', source.url, sourceDir, source.ref]
    const exitCode = await exitCodeOf(run, { ...shared, containerId, argv, env })
    if (exitCode !== 0) throw refused(source)
  } finally {
    await runCommand(run, { ...shared, containerId, argv: ['rm', '-rf', credentialDir] })
  }
  const argv = ['git', '-C', sourceDir, 'log', '-1', '--format=%H%n%s']
  const said = (await captureCommand(run, { ...shared, containerId, argv, env })).toString('utf8')
  const [commitSha = '', commitMessage = ''] = said.split('\n')
  await run.lease.reportSource({ commitSha, commitMessage: commitMessage.slice(0, 500) }, { signal: run.signal })
  run.logs.note('fetch-source', `Commit ${commitSha}`)
}

const plainUrl = /^(https|ssh):\/\/(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?\/[^\s\\]+$/
const plainRef = /^[A-Za-z0-9][A-Za-z0-9._/+@#=-]{0,254}$/

/** The API has checked both by stricter rules; what a tool could take for something else is not handed to it in any case. */
function refuseOdd({ url, ref }: GitSource): void {
  const isOdd = url.split('/').some((segment) => segment.startsWith('-') || segment === '..')
  if (plainUrl.test(url) && !isOdd && plainRef.test(ref) && !/\.\.|@\{|\/\//.test(ref)) return
  throw new BuildFailure('source-address-refused', 'The address or the reference of the source is not plain.')
}

function gitEnvironment(run: BuildRun, credential: GitCredential | null): Record<string, string> {
  const pairs = Object.entries(settings)
  return {
    ...toolEnvironment(run),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: String(pairs.length),
    ...Object.fromEntries(
      pairs.flatMap(([key, value], index) => [
        [`GIT_CONFIG_KEY_${index}`, key],
        [`GIT_CONFIG_VALUE_${index}`, value],
      ]),
    ),
    GIT_ALLOW_PROTOCOL: 'https:ssh',
    GIT_TERMINAL_PROMPT: '0',
    ...(credential?.kind === 'basic' && { GIT_ASKPASS: `${credentialDir}/askpass` }),
    GIT_SSH_VARIANT: 'ssh',
    GIT_SSH_COMMAND: credential?.kind === 'ssh' ? sshCommand(credentialDir) : 'false',
  }
}

async function filesOf(credential: GitCredential): Promise<Record<string, string>> {
  if (credential.kind === 'basic') return { askpass, username: credential.username, password: credential.password }
  const connect = await inContainerScript('connect-through')
  const { privateKey, knownHosts } = credential
  return { key: privateKey, known_hosts: knownHosts, 'connect-through.mjs': connect.toString('utf8') }
}

const secretsOf = (credential: GitCredential): string[] =>
  credential.kind === 'ssh' ? [credential.privateKey] : [credential.password]

async function writeFile(
  run: BuildRun,
  containerId: string,
  { name, text }: { name: string; text: string },
): Promise<void> {
  const mode = name === 'askpass' ? '0500' : '0400'
  const path = `${credentialDir}/${name}`
  const argv = ['sh', '-c', `umask 077 && mkdir -p ${credentialDir} && cat > ${path} && chmod ${mode} ${path}`]
  await runCommand(run, { ...shared, containerId, argv, stdin: Buffer.from(text) })
}

const hints = {
  none: 'If the repository is not public, store a git connection for its host.',
  basic: 'Check that the git connection may read the repository.',
  ssh: "Check that the git connection's key may read the repository and that its knownHosts are the keys of the host.",
} as const

function refused({ url, ref, auth }: GitSource): BuildFailure {
  const hint = hints[auth]
  return new BuildFailure(
    'git-fetch-failed',
    `"${ref}" could not be fetched from ${url}; the log has git's words. ${hint}`,
  )
}
