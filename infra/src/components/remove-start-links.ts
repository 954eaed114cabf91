import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Does to a unit what `systemctl disable` does, on a machine without it. */
export function removeStartLinks(units: string, unit: string): void {
  if (!existsSync(units)) return
  const wanting = readdirSync(units, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name.endsWith('.wants'),
  )
  for (const { name } of wanting) rmSync(join(units, name, unit), { force: true })
}
