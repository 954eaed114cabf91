import type { BuildPhase, PhaseReport } from '@capstan/migrations/messages'
import { expect, test } from 'vitest'
import { PhaseReports } from './phase-reports.js'

const report = (phase: BuildPhase, state: PhaseReport['state']): PhaseReport => ({
  phase,
  state,
  at: new Date().toISOString(),
})

/** An API that answers when it is told to. */
function openReports() {
  const requests: string[][] = []
  const answers: { give: () => void; refuse: (error: Error) => void }[] = []
  const refusals: unknown[] = []
  const reports = new PhaseReports({
    send: (sent) => {
      requests.push(sent.map(({ phase, state }) => `${phase} ${state}`))
      return new Promise((give, refuse) => answers.push({ give, refuse }))
    },
    onRefused: (error) => refusals.push(error),
  })
  return { reports, requests, answers, refusals }
}

const settled = (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 20, false))])

test('what is reported in one go is one request, and the next one waits for its answer', async () => {
  const { reports, requests, answers } = openReports()
  reports.add(report('prepare', 'succeeded'))
  reports.add(report('fetch-source', 'started'))
  await expect.poll(() => requests).toEqual([['prepare succeeded', 'fetch-source started']])
  reports.add(report('fetch-source', 'succeeded'))
  const heard = reports.heard()
  expect(await settled(heard)).toBe(false)
  expect(requests).toHaveLength(1)
  answers[0]?.give()
  await expect.poll(() => requests).toHaveLength(2)
  expect(requests[1]).toEqual(['fetch-source succeeded'])
  expect(await settled(heard)).toBe(false)
  answers[1]?.give()
  await heard
  expect(reports.unheard).toEqual([])
})

test('closing waits for what is on its way and leaves the rest to the caller', async () => {
  const { reports, requests, answers } = openReports()
  reports.add(report('upload', 'started'))
  await expect.poll(() => requests).toHaveLength(1)
  const last = report('upload', 'succeeded')
  reports.add(last)
  const closed = reports.close()
  expect(await settled(closed)).toBe(false)
  answers[0]?.give()
  await closed
  expect(reports.unheard).toEqual([last])
  expect(requests).toHaveLength(1)
})

test('what was added just before closing is not sent', async () => {
  const { reports, requests } = openReports()
  reports.add(report('upload', 'succeeded'))
  await reports.close()
  expect(requests).toEqual([])
  expect(reports.unheard).toHaveLength(1)
})

test('a refusal is told once, fails whoever waits, and keeps what was not heard', async () => {
  const { reports, requests, answers, refusals } = openReports()
  reports.add(report('prepare', 'started'))
  await expect.poll(() => requests).toHaveLength(1)
  const heard = reports.heard()
  answers[0]?.refuse(new Error('refused'))
  await expect(heard).rejects.toThrow('refused')
  reports.add(report('prepare', 'failed'))
  await expect(reports.heard()).rejects.toThrow('refused')
  await reports.close()
  expect(requests).toHaveLength(1)
  expect(refusals).toHaveLength(1)
  expect(reports.unheard.map(({ state }) => state)).toEqual(['started', 'failed'])
})
