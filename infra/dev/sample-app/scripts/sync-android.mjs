// Copies the built web part into the Android project, where `npx cap sync android` puts it.
import { cp, mkdir, readFile, rm, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { webDir } = JSON.parse(await readFile(`${root}capacitor.config.json`, 'utf8'))
const assets = `${root}android/app/src/main/assets`

const built = await stat(`${root}${webDir}/index.html`).catch(() => undefined)
if (!built) {
  console.error(`There is no ${webDir}/index.html: run \`npm run build\` first.`)
  process.exit(1)
}
await rm(`${assets}/public`, { recursive: true, force: true })
await mkdir(assets, { recursive: true })
await cp(`${root}${webDir}`, `${assets}/public`, { recursive: true })
await cp(`${root}capacitor.config.json`, `${assets}/capacitor.config.json`)
console.log(`Copied ${webDir} to android/app/src/main/assets/public`)
