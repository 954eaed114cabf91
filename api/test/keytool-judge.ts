import { execFile, execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const END = '=====END====='

/** keytool's word on each `<name>` in a folder, with the password in `<name>.pass`: fingerprints of its private keys. */
export type KeytoolJudge = (
  folder: string,
  files: { name: string; type: string }[],
) => Promise<Map<string, string[] | null>>

/** With the machine's Java, else with the builder image; null, said aloud, when there is neither. */
export function findKeytool(): KeytoolJudge | null {
  if (succeeds('keytool', ['-help']))
    return (folder, files) =>
      judge(files, (script) => run('sh', ['-c', script], { cwd: folder, maxBuffer: 1e8 }), folder)
  const image = process.env.TEST_BUILDER_IMAGE ?? ''
  if (image !== '' && succeeds('docker', ['image', 'inspect', image])) {
    const box = ['run', '--rm', '--network', 'none', '--user', '0', '--entrypoint', 'sh', '--workdir', '/files']
    return (folder, files) =>
      judge(
        files,
        (script) => run('docker', [...box, '-v', `${folder}:/files:ro`, image, '-c', script], { maxBuffer: 1e8 }),
        folder,
      )
  }
  process.stderr.write(
    '\nWARNING: no keytool and no builder image: the matrix of keystores is judged by openssl alone.\n\n',
  )
  return null
}

async function judge(
  files: { name: string; type: string }[],
  shell: (script: string) => Promise<{ stdout: string }>,
  folder: string,
): Promise<Map<string, string[] | null>> {
  const quick = '-J-XX:TieredStopAtLevel=1 -J-Xshare:auto -J-Dfile.encoding=UTF-8'
  const lines = files.map(
    ({ name, type }) =>
      `keytool ${quick} -list -v -keystore ${name} -storetype ${type} -storepass:file ${name}.pass 2>&1; echo "$? ${END}"`,
  )
  await writeFile(join(folder, 'judge.sh'), lines.join('\n'))
  const { stdout } = await shell(lines.join('\n'))
  const answers = stdout.split(`${END}\n`)
  return new Map(files.map(({ name }, index) => [name, read(answers[index] ?? '1 ')]))
}

function read(answer: string): string[] | null {
  if (!`\n${answer}`.endsWith('\n0 ')) return null
  return answer.split(/^Alias name: /m).flatMap((entry) => {
    if (!entry.includes('PrivateKeyEntry')) return []
    const [, sha256 = ''] = /SHA256: ([0-9A-F:]+)/.exec(entry) ?? []
    return [sha256.replaceAll(':', '').toLowerCase()]
  })
}

/** openssl's word on a PKCS#12 file: the key as PEM and its certificate's fingerprint; null when it does not open. */
export async function askOpenssl(
  folder: string,
  name: string,
): Promise<{ key: string | null; sha256: string | null } | null> {
  for (const provider of [[], ['-legacy']]) {
    const args = ['pkcs12', '-in', name, '-nodes', '-passin', `file:${name}.pass`, ...provider]
    const out = await run('openssl', args, { cwd: folder, env: { ...process.env, LC_ALL: 'C.UTF-8' } }).catch(
      () => null,
    )
    if (out === null) continue
    const [key = null] = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/.exec(out.stdout) ?? []
    const certificates = out.stdout.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
    const [own] = certificates.map((pem) => new X509Certificate(pem)).filter(() => key !== null)
    return { key, sha256: own?.fingerprint256.replaceAll(':', '').toLowerCase() ?? null }
  }
  return null
}

function succeeds(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
