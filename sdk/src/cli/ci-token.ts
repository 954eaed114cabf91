import { askForm, publicServerHelp, readServer } from './call-api.js'
import { type Command, CommandError, type Terminal } from './command.js'
import { type Arguments, readArguments } from './read-arguments.js'
import { readBytes, writeNew } from './read-file.js'

const timeoutMs = 30_000

/** `capstan ci-token` */
export const ciToken: Command = {
  summary: 'exchange the token of a CI job for a short-lived API token',
  help: `capstan ci-token --policy ID --server URL [--id-token-file FILE] [--audience TEXT] [--out FILE]

  --policy ID            the trust policy of your organization
${publicServerHelp}
  --id-token-file FILE   the job's OpenID Connect token; "-" reads it from standard input. Without it, it is asked
                         of GitHub Actions (the workflow needs "permissions: id-token: write")
  --audience TEXT        what GitHub's token is for (the server's address); what the trust policy names
  --out FILE             where the token goes, readable by you alone; without it, it is printed

The token has the scopes of the policy, for fifteen minutes at most. It works wherever an API token does:

  export CAPAWESOME_CLOUD_TOKEN="$(capstan ci-token --policy ID --server URL)"`,
  async run(args, terminal) {
    const names = ['policy', 'server', 'id-token-file', 'audience', 'out']
    const options = readArguments(args, { names, operands: [] })
    const [policy, server] = [options.need('policy'), readServer(options.need('server'))]
    const answer = await askForm(server, '/v1/ci-tokens', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: policy,
      subject_token: await readIdToken(options, terminal, options.get('audience') ?? server),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    })
    const token = answer['access_token']
    if (typeof token !== 'string') throw new CommandError('ANSWER', 'The server did not answer with a token.')
    const out = options.get('out')
    if (out === null) {
      terminal.print(token)
    } else {
      await writeNew(out, token, true)
      // What is printed here stands in the job's log, where this line has it hidden from then on.
      if (terminal.variable('GITHUB_ACTIONS') === 'true') terminal.print(`::add-mask::${token}`)
    }
    terminal.note(`The token works for ${Number(answer['expires_in'])} seconds: ${String(answer['scope'])}`)
    return 0
  },
}

async function readIdToken(options: Arguments, terminal: Terminal, audience: string): Promise<string> {
  const file = options.get('id-token-file')
  if (file === null) return askGitHub(terminal, audience)
  const text = file === '-' ? await terminal.readInput() : Buffer.from(await readBytes(file)).toString('utf8')
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text.trim())) return text.trim()
  throw new CommandError('ID_TOKEN', `${file === '-' ? 'Standard input' : file} does not hold an OpenID Connect token.`)
}

/** GitHub gives a job an address and a secret with which it may ask for tokens of its own. */
async function askGitHub(terminal: Terminal, audience: string): Promise<string> {
  const [address, secret] = ['URL', 'TOKEN'].map((name) => terminal.variable(`ACTIONS_ID_TOKEN_REQUEST_${name}`))
  if (!address || !secret) {
    const how = 'Give the workflow "permissions: id-token: write", or name a token with --id-token-file.'
    throw new CommandError('ID_TOKEN', `This job cannot ask GitHub for an OpenID Connect token. ${how}`)
  }
  const url = new URL(readServer(address))
  url.searchParams.set('audience', audience)
  const headers = { authorization: `bearer ${secret}`, accept: 'application/json' }
  const init = { headers, redirect: 'error' as const, signal: AbortSignal.timeout(timeoutMs) }
  const answer = (await fetch(url, init)
    .then((response) => (response.ok ? response.json() : null))
    .catch(() => null)) as { value?: unknown } | null
  if (typeof answer?.value === 'string') return answer.value
  throw new CommandError('ID_TOKEN', 'GitHub did not answer with an OpenID Connect token. Run the job again.')
}
