import { spawn } from 'node:child_process'

const keptLines = 40

/**
 * Runs one tool, shows that time passes, and keeps what it says for the case that it fails.
 * Resolves to the exit code and the last lines.
 */
export async function runTool(label, command, args, { cwd, env = process.env, quietMs = 1500 }) {
  const started = Date.now()
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1)
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines = []
  const keep = (chunk) => {
    lines.push(...chunk.toString().split(/\r?\n/).filter(Boolean))
    lines.splice(0, lines.length - keptLines)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  let announced = false
  const announce = setTimeout(() => {
    announced = true
    console.log(`${label} …`)
  }, quietMs)
  const ticking = setInterval(() => console.log(`${label} … ${seconds()} s`), 15_000)
  try {
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (exitCode) => resolve(exitCode ?? 1))
    })
    if (announced && code === 0) console.log(`${label}: done in ${seconds()} s`)
    return { code, output: lines.join('\n') }
  } finally {
    clearTimeout(announce)
    clearInterval(ticking)
  }
}
