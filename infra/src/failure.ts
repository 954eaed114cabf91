/** Ends the command with one sentence. Exit code 2 says that the machine lacks something. */
export class Failure extends Error {
  override name = 'Failure' as const
  readonly exitCode: number

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

export function missing(message: string): Failure {
  return new Failure(message, 2)
}
