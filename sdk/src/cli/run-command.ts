import { ciToken } from './ci-token.js'
import { type Command, CommandError, type Terminal, UsageError } from './command.js'
import { createApp } from './create-app.js'
import { keygen } from './keygen.js'
import { keys } from './keys/keys.js'
import { platformKey } from './platform-key.js'
import { publish } from './publish.js'
import { registerKey } from './register-key.js'
import { rotateRoot } from './rotate-root.js'
import { sign } from './sign.js'
import { verify } from './verify.js'
import { verifyArtifact } from './verify-artifact.js'
import { verifyAudit } from './verify-audit.js'

const commands: Record<string, Command> = {
  keygen,
  sign,
  verify,
  publish,
  'create-app': createApp,
  'register-key': registerKey,
  'platform-key': platformKey,
  'rotate-root': rotateRoot,
  'verify-artifact': verifyArtifact,
  'verify-audit': verifyAudit,
  'ci-token': ciToken,
  keys,
}

function overview(): string {
  const list = Object.entries(commands).map(([name, command]) => `  ${name.padEnd(16)}${command.summary}`)
  return `capstan COMMAND

${list.join('\n')}

capstan COMMAND --help says more. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`
}

/** Runs one command line and says what became of it; nothing is thrown. */
export async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name = '', ...rest] = args
  if (name === '--help' || name === '-h' || name === 'help') {
    terminal.print(overview())
    return 0
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) {
    terminal.note(name === '' ? overview() : `capstan: "${name}" is not a command. capstan --help lists them.`)
    return 2
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    terminal.print(command.help)
    return 0
  }
  try {
    return await command.run(rest, terminal)
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.note(`capstan ${name}: ${error.message} capstan ${name} --help says more.`)
      return 2
    }
    const code = error instanceof CommandError ? error.code : 'INTERNAL'
    terminal.note(`capstan ${name}: ${error instanceof Error ? error.message : String(error)} (${code})`)
    return 1
  }
}
