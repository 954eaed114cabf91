import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { runCapstan } from '../call-capstan.js'

async function verify(world: DemoWorld, file: string): Promise<{ code: number; said: string }> {
  const { code, said } = await runCapstan(world, ['verify-audit', file])
  return { code, said: said.split('\n')[0] ?? '' }
}

/** Step 9: the exported audit log is accepted offline; with one byte changed it is not. */
export async function exportAudit(world: DemoWorld): Promise<string> {
  const url = `${world.stack.apiUrl}/v1/organizations/${need(world, 'organizationId')}/audit-events/export`
  const response = await fetch(url, { headers: { authorization: `Bearer ${need(world, 'token')}` } })
  prove(response.ok, `the audit log can be exported (answered ${response.status})`)
  const log = Buffer.from(await response.arrayBuffer())
  const file = join(world.folder, 'audit.jsonl')
  writeFileSync(file, log)
  const intact = await verify(world, file)
  prove(intact.code === 0, `the verifier accepts the export (${intact.said})`)
  const at = log.indexOf(need(world, 'appId'))
  prove(at > 0, 'the export tells of the app')
  log.writeUInt8(log.readUInt8(at) ^ 1, at)
  const tampered = join(world.folder, 'audit-tampered.jsonl')
  writeFileSync(tampered, log)
  const refused = await verify(world, tampered)
  prove(refused.code === 1, `the verifier refuses a changed byte (exit code ${refused.code})`)
  return `${log.toString('utf8').trim().split('\n').length} events accepted; with one byte changed: ${refused.said}`
}
