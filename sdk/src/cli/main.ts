import { text } from 'node:stream/consumers'
import { readEnvironment } from './config.js'
import { runCommand } from './run-command.js'

process.exitCode = await runCommand(process.argv.slice(2), {
  print: (line) => void process.stdout.write(`${line}\n`),
  note: (line) => void process.stderr.write(`${line}\n`),
  readInput: () => text(process.stdin),
  ...readEnvironment(),
})
