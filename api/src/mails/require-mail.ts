import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

export function requireMail({ mailKey }: Pick<Deps, 'mailKey'>): void {
  if (!mailKey) throw new Problem('mail-unavailable', 'This server sends no mail. Ask its operator.')
}
