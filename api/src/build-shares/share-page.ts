import { encode } from 'uqr'
import type { OpenShare } from './open-share.js'

/** Nothing but the page's own style, which is named by its hash: no script, no image, no form, no frame. */
export const pagePolicy = (styleHash: string) =>
  `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

export const pageStyle =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#16202b}' +
  'h1{font-size:1.4rem}a.file{display:block;padding:.8rem 1rem;margin:.5rem 0;border-radius:.5rem;background:#0b5cad;' +
  'color:#fff;text-decoration:none;overflow-wrap:anywhere}small{color:#5a6672;overflow-wrap:anywhere}svg{width:12rem}'

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escape = (text: string) => text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? '')

/** The install page of a share: what it is, one link a file, and a QR code of the page for a telephone. */
export function sharePage(share: OpenShare, pageUrl: string): string {
  const { build, appName, description, expiresAt } = share
  const title = escape(`${appName} · build ${build.number}`)
  const files = share.files.map((file) => fileLink(share, pageUrl, file)).join('')
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">',
    `<title>${title}</title><style>${pageStyle}</style></head><body><h1>${title}</h1>`,
    `<p>${escape([build.platform, build.type, build.packageName].filter(Boolean).join(' · '))}</p>`,
    description ? `<p>${escape(description)}</p>` : '',
    files || '<p>The files of this build are not kept any more.</p>',
    `<p>${qrSvg(pageUrl)}</p>`,
    expiresAt ? `<p><small>This page works until ${expiresAt.toISOString().slice(0, 16)} UTC.</small></p>` : '',
    '</body></html>',
  ].join('')
}

type File = OpenShare['files'][number]

function fileLink(share: OpenShare, pageUrl: string, file: File): string {
  const size = `${(file.fileSizeBytes / 1024 / 1024).toFixed(1)} MB`
  const manifest = `${pageUrl}/manifest.plist`
  const isInstalled = file.type === 'ipa' && share.build.packageName !== null
  const href = isInstalled
    ? `itms-services://?action=download-manifest&url=${encodeURIComponent(manifest)}`
    : `${pageUrl}/artifacts/${file.id}`
  const label = file.type === 'apk' || isInstalled ? `Install ${file.fileName}` : `Download ${file.fileName}`
  return `<a class="file" href="${escape(href)}">${escape(label)} (${size})</a><small>SHA-256 ${file.sha256}</small>`
}

function qrSvg(text: string): string {
  const { data, size } = encode(text, { ecc: 'M', border: 2 })
  const cells = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])))
  return `<svg viewBox="0 0 ${size} ${size}" role="img" aria-label="QR code of this page"><path d="${cells.join('')}"/></svg>`
}

/** What iOS reads to install an app over the air. */
export function installManifest(share: OpenShare, pageUrl: string): string | null {
  const file = share.files.find(({ type }) => type === 'ipa')
  if (!file || !share.build.packageName) return null
  const entry = (key: string, value: string) => `<key>${key}</key><string>${escape(value)}</string>`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0"><dict><key>items</key><array><dict><key>assets</key><array><dict>',
    entry('kind', 'software-package'),
    entry('url', `${pageUrl}/artifacts/${file.id}`),
    '</dict></array><key>metadata</key><dict>',
    entry('bundle-identifier', share.build.packageName),
    entry('bundle-version', String(share.build.number)),
    entry('kind', 'software'),
    entry('title', share.appName),
    '</dict></dict></array></dict></plist>',
  ].join('')
}
