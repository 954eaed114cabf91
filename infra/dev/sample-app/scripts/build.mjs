// Bundles the web part into dist/. APP_VERSION and APP_THEME (harbour or dusk) change what the app shows.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const { version: packageVersion } = JSON.parse(await readFile(`${root}package.json`, 'utf8'))
const version = process.env.APP_VERSION || packageVersion
const theme = process.env.APP_THEME || 'harbour'

if (!/^[0-9A-Za-z.+-]{1,40}$/.test(version)) {
  console.error(`APP_VERSION must be a version such as 1.4.0, not ${JSON.stringify(version)}.`)
  process.exit(1)
}
if (theme !== 'harbour' && theme !== 'dusk') {
  console.error(`APP_THEME must be harbour or dusk, not ${JSON.stringify(theme)}.`)
  process.exit(1)
}

await rm(`${root}dist`, { recursive: true, force: true })
await mkdir(`${root}dist`, { recursive: true })
// One classic script: a web view refuses module scripts from file addresses.
await build({
  absWorkingDir: root,
  entryPoints: { app: 'src/main.js', style: 'src/styles/style.css' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome87', 'safari15'],
  loader: { '.svg': 'dataurl' },
  define: { APP_VERSION: JSON.stringify(version) },
  logLevel: 'info',
}).catch(() => process.exit(1))
const page = await readFile(`${root}src/index.html`, 'utf8')
await writeFile(`${root}dist/index.html`, page.replaceAll('%APP_VERSION%', version).replaceAll('%APP_THEME%', theme))
console.log(`Built Harbour ${version} into dist/`)
