/** The one place that reads the environment. */
export function readEnvironment(): { tokenFile: string | null; variable(name: string): string | null } {
  return {
    tokenFile: process.env['CAPSTAN_TOKEN_FILE'] ?? null,
    variable: (name) => process.env[name] ?? null,
  }
}

/** What an external signer command gets: where to find programs and its own credentials, and what to sign. */
export function signerEnvironment(own: Record<string, string>): NodeJS.ProcessEnv {
  return { ...process.env, ...own }
}
