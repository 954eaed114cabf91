import type { ContainerEngine, ExecSpec } from '../src/container-engine.js'

type Script = (argv: readonly string[]) => { exitCode?: number; stdout?: string; stderr?: string }

/** An engine whose commands answer by script, for what real tools do not do on demand. */
export function fakeEngine(script: Script): ContainerEngine {
  const refuse = () => Promise.reject(new Error('not part of this test'))
  return {
    ping: refuse,
    resolveImage: refuse,
    openPipe: refuse,
    runtimes: refuse,
    startContainer: refuse,
    removeContainer: refuse,
    removeLabelled: refuse,
    inspect: () => Promise.resolve({ running: true, oomKilled: false }),
    async exec(_containerId: string, spec: ExecSpec) {
      const { exitCode = 0, stdout = '', stderr = '' } = script(spec.argv)
      await spec.onOutput('stdout', Buffer.from(stdout))
      await spec.onOutput('stderr', Buffer.from(stderr))
      return exitCode
    },
  }
}
