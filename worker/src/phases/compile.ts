import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment, sourceDir } from '../build-run.js'
import type { Project } from '../inspect-sandbox.js'
import { captureCommand, runCommand } from '../run-command.js'

export type AndroidType = 'debug' | 'release'

const outputs = `${sourceDir}/android/app/build/outputs/apk`

/** Runs the project's Gradle wrapper and returns the path of the one APK it made. */
export async function compile(
  run: BuildRun,
  { containerId }: Sandbox,
  project: Project,
  type: AndroidType,
): Promise<string> {
  refuseWithoutGradlew(project)
  const command = {
    phase: 'compile',
    containerId,
    failureCode: 'compile-failed',
    subject: 'The Android build',
  } as const
  // What the source brought along must not pass for what this build made.
  await runCommand(run, { ...command, argv: ['rm', '-rf', outputs] })
  const task = type === 'release' ? 'assembleRelease' : 'assembleDebug'
  const workingDir = `${sourceDir}/android`
  await runCommand(run, { ...command, argv: ['./gradlew', task], env: commandEnvironment(run), workingDir })
  const find = `test -d ${outputs} || exit 0; find ${outputs} -type f -name '*.apk' -print0`
  const listed = await captureCommand(run, { ...command, argv: ['sh', '-c', find], subject: 'Looking for the APK' })
  const apk = chooseApk(listed.toString('utf8').split('\0').filter(Boolean), type)
  run.logs.note('compile', `Built ${apk.slice(sourceDir.length + 1)}`)
  return apk
}

function refuseWithoutGradlew(project: Project): void {
  if (!project.hasGradlew) {
    throw new BuildFailure(
      'gradlew-missing',
      'The source has no android/gradlew. Add the Android platform and upload it too.',
    )
  }
  if (!project.isGradlewExecutable) {
    throw new BuildFailure(
      'gradlew-not-executable',
      'android/gradlew is not executable. Run "chmod +x android/gradlew" and upload the source again with its file modes.',
    )
  }
}

/** Gradle writes to `<flavor>/<type>/`; with several flavors nothing says which one is wanted. */
export function chooseApk(paths: readonly string[], type: AndroidType): string {
  const ofType = paths.filter((path) => path.includes(`/${type}/`) && !path.includes('/androidTest/'))
  const unsigned = ofType.filter((path) => path.endsWith('-unsigned.apk'))
  const candidates = unsigned.length > 0 ? unsigned : ofType
  const [only, ...others] = candidates
  if (only === undefined) {
    throw new BuildFailure(
      'apk-missing',
      `The Android build ended well but left no ${type} APK in app/build/outputs/apk.`,
    )
  }
  if (others.length > 0) {
    const names = candidates.map((path) => path.split('/').at(-1)).join(', ')
    throw new BuildFailure(
      'apk-ambiguous',
      `The Android build left several APKs (${names.slice(0, 500)}); exactly one is expected.`,
    )
  }
  return only
}
