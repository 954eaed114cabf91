import type { Deps } from '../context.js'
import { type CheckIns, createCheckIns } from './check-ins.js'
import { createDeviceLimit } from './limit-device.js'
import { createAnswerMaker } from './make-answer.js'
import { openPublishedIndex, type PublishedIndexOptions } from './published-index.js'

/** What update checks are answered with. */
export type UpdateParts = Pick<Deps, 'published' | 'checkIns' | 'makeAnswer' | 'isTooOften'>

export type UpdateOptions = PublishedIndexOptions & Pick<Deps, 'publicUrl' | 'channelStatementKey'>

export async function openUpdates(options: UpdateOptions): Promise<{ parts: UpdateParts } & AsyncDisposable> {
  const published = await openPublishedIndex(options)
  const checkIns: CheckIns = createCheckIns(options)
  return {
    parts: { published, checkIns, makeAnswer: createAnswerMaker(options), isTooOften: createDeviceLimit() },
    async [Symbol.asyncDispose]() {
      await published[Symbol.asyncDispose]()
      await checkIns[Symbol.asyncDispose]()
    },
  }
}
