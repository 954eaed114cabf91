import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'
import type { DemoWorld } from './demo-world.js'
import { runInBuilder } from './run-in-builder.js'

/** Unpacks one folder of a zip or APK into `target`; the parsing happens in the throw-away container. */
export async function unpackZip(world: DemoWorld, file: string, folder: string, target: string): Promise<void> {
  const script = `cat > in.zip && mkdir out && unzip -q in.zip -d out && tar -C "out/${folder}" -cf - .`
  const tar = await runInBuilder(world, script, readFileSync(file))
  mkdirSync(target, { recursive: true })
  const packed = `${target}.tar`
  writeFileSync(packed, tar)
  const { code, stderr } = await runTool('tar', ['-xf', packed, '-C', target, '--no-same-owner'], {
    env: world.config.baseEnv,
  })
  if (code !== 0) throw new Failure(`tar could not unpack ${packed}:\n${stderr}`)
}
