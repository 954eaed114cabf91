import { Failure } from '../failure.js'

/** What has to be undone, last first. Once it runs, nothing new may be started. */
export class Teardown {
  private readonly steps: (() => Promise<void>)[] = []
  private readonly problems: unknown[] = []
  private running: Promise<void> | undefined

  get hasBegun(): boolean {
    return this.running !== undefined
  }

  add(step: () => Promise<void>): void {
    this.steps.push(step)
    if (!this.running) return
    this.running = this.running.then(() => this.undo())
    throw new Failure('Stopped while starting.', 130)
  }

  /** Undoes everything even when a step fails; rejects with the first problem. Calling it again waits for the same run. */
  async run(): Promise<void> {
    this.running ??= this.undo()
    await this.running
    if (this.problems.length > 0) throw this.problems[0]
  }

  private async undo(): Promise<void> {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step()
      } catch (problem) {
        this.problems.push(problem)
      }
    }
  }
}
