// Runs inside the build container (`node --input-type=module - <android folder> <overrides as JSON>`): writes another
// display name and application id into a Capacitor Android project. Prints `ok` and what was done, or the reason why not.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Overrides = { displayName?: string; packageName?: string }

const packagePattern = /^[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)+$/

/** What was done, as lines for the log; throws where the project has no place for a name. */
export function overrideNames(android: string, { displayName, packageName }: Overrides): string[] {
  const done: string[] = []
  if (packageName !== undefined) {
    if (!packagePattern.test(packageName)) throw new Error(`${packageName} is not a package name.`)
    const isWritten = ['build.gradle', 'build.gradle.kts'].some((name) =>
      rewrite(join(android, 'app', name), /(\bapplicationId\s*=?\s*)(?:"[^"\n]*"|'[^'\n]*')/g, `$1"${packageName}"`),
    )
    if (!isWritten) throw new Error('android/app/build.gradle has no applicationId that could be replaced.')
    done.push(`Application id ${packageName}`)
  }
  if (displayName !== undefined) {
    const strings = join(android, 'app', 'src', 'main', 'res', 'values', 'strings.xml')
    const pattern = /(<string name="(?:app_name|title_activity_main)"[^>]*>)[^<]*(<\/string>)/g
    if (!rewrite(strings, pattern, `$1${resourceText(displayName)}$2`)) {
      throw new Error('android/app/src/main/res/values/strings.xml has no app_name that could be replaced.')
    }
    done.push(`Display name ${displayName}`)
  }
  return done
}

function rewrite(path: string, pattern: RegExp, replacement: string): boolean {
  if (!existsSync(path)) return false
  const before = readFileSync(path, 'utf8')
  if (before.match(pattern) === null) return false
  writeFileSync(path, before.replace(pattern, replacement))
  return true
}

/** Text of an Android string resource, escaped for XML, for the resource compiler and for `String.replace`. */
function resourceText(text: string): string {
  const escaped = text
    .replace(/[\\'"]/g, String.raw`\$&`)
    .replace(/^[@?]/, String.raw`\$&`)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
  return escaped.replaceAll('$', '$$$$').replace(/\s+/g, ' ')
}

const [, script, android, overrides] = process.argv
if (script === '-' && android !== undefined && overrides !== undefined) {
  try {
    console.log(['ok', ...overrideNames(android, JSON.parse(overrides) as Overrides)].join('\n'))
  } catch (error) {
    console.log(error instanceof Error ? error.message : 'The names could not be written.')
  }
}
