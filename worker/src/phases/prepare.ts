import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import type { Labels } from '../container-engine.js'
import { toolDir } from '../build-run.js'
import { chooseVariant, compilesOnline } from '../choose-variant.js'
import { runCommand } from '../run-command.js'

const variableName = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/

/** The build's own container, ready for the source. */
export async function prepare(run: BuildRun): Promise<Sandbox> {
  refuseUnbuildable(run)
  await openVariables(run)
  if (run.spec.platform === 'android') {
    chooseVariant(run)
    compilesOnline(run)
  }
  const { spec, engine, attempt } = run
  const imageId = await run.imageId()
  const name = `capstan-${spec.buildId}-${attempt}`
  const [removed, started] = await Promise.allSettled([
    removeEarlier(run),
    engine.startContainer({
      kind: 'build',
      name: `${name}-build`,
      imageId,
      labels: run.labels,
      limits: spec.limits,
    }),
  ])
  if (started.status === 'rejected') throw started.reason
  if (removed.status === 'rejected') throw removed.reason
  const containerId = started.value
  if (run.extraCa !== undefined) {
    await runCommand(run, {
      phase: 'prepare',
      containerId,
      argv: ['sh', '-c', `mkdir -p ${toolDir} && cat > ${toolDir}/extra-ca.pem`],
      stdin: run.extraCa,
      failureCode: 'prepare-failed',
      subject: 'Preparing the build container',
    })
  }
  run.logs.note('prepare', `Build ${spec.number}, attempt ${attempt}, image ${imageId}`)
  return { containerId }
}

/**
 * A container of an earlier attempt on this host has lost its lease. One of a later attempt is the build's own by now, and
 * this attempt's is being made meanwhile.
 */
async function removeEarlier({ engine, stackId, spec, attempt }: BuildRun): Promise<void> {
  const isSpared = ({ 'capstan.attempt': other }: Labels) => Number(other) >= attempt
  await engine.removeLabelled({ capstan: stackId, 'capstan.build': spec.buildId }, isSpared)
}

/** Masked before any command can print them. */
async function openVariables(run: BuildRun): Promise<void> {
  if (run.spec.hasSecretVariables) {
    run.secretVariables = await run.broker.openVariables(run.leaseToken, run.attempt, run.signal)
    for (const value of Object.values(run.secretVariables)) run.secrets.add(value)
  }
  for (const [name, value] of Object.entries({ ...run.spec.variables, ...run.secretVariables })) {
    if (!variableName.test(name) || value.includes('\0')) {
      throw new BuildFailure(
        'variable-invalid',
        `The variable ${JSON.stringify(name)} cannot be set: a name has letters, digits and underscores, a value no NUL.`,
      )
    }
  }
}

/** What is certain to fail is refused before it costs time. */
function refuseUnbuildable({ spec }: BuildRun): void {
  if (spec.platform === 'ios') {
    throw new BuildFailure(
      'platform-unsupported',
      'This worker builds for Android and the web. iOS needs a worker on macOS.',
    )
  }
  if (spec.platform === 'android' && spec.type === 'release' && spec.signing === null) {
    throw new BuildFailure(
      'signing-certificate-missing',
      'A release build must be signed. Upload a keystore and name it when you start the build, or build type debug.',
    )
  }
}
