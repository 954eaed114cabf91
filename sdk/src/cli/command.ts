/** Where a command writes and what it may read; the process in production, a recording in tests. */
export interface Terminal {
  /** Results: one line. */
  print(line: string): void
  /** Progress and refusals: one line. */
  note(line: string): void
  /** The whole standard input. */
  readInput(): Promise<string>
  /** File named by `CAPSTAN_TOKEN_FILE`, if any. */
  tokenFile: string | null
  /** An environment variable that an option names. */
  variable(name: string): string | null
}

/** One command: it resolves to its exit code. */
export interface Command {
  summary: string
  help: string
  run(args: string[], terminal: Terminal): Promise<number>
}

/** The command was called in a way it does not understand: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError' as const
}

/** The command was refused or failed: exit code 1. The message is one sentence with what to do next. */
export class CommandError extends Error {
  override name = 'CommandError' as const
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
