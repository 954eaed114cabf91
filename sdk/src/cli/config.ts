/** The one place that reads the environment. */
export function readEnvironment(): { tokenFile: string | null } {
  return { tokenFile: process.env['CAPSTAN_TOKEN_FILE'] ?? null }
}
