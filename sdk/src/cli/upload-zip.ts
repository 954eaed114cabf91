import { sha256Hex } from '../archive/index.js'
import type { Api } from './call-api.js'
import { CommandError } from './command.js'

const partBytes = 10 * 1024 * 1024

/** A text field of an answer that must be there. */
export function textOf(answer: Record<string, unknown>, field: string): string {
  const value = answer[field]
  if (typeof value !== 'string') throw new CommandError('ANSWER_MALFORMED', `The server's answer lacks ${field}.`)
  return value
}

async function uploadParts(api: Api, path: string, bytes: Uint8Array, note: (line: string) => void): Promise<void> {
  const uploadId = encodeURIComponent(
    textOf(await api.call('POST', `${path}/upload?action=mpu-create`, {}), 'uploadId'),
  )
  const parts: Record<string, unknown>[] = []
  for (let start = 0; start < bytes.length; start += partBytes) {
    const form = new FormData()
    form.set('blob', new Blob([Uint8Array.from(bytes.subarray(start, start + partBytes))]), 'blob')
    form.set('partNumber', String(parts.length + 1))
    parts.push(await api.call('PUT', `${path}/upload?action=mpu-uploadpart&uploadId=${uploadId}`, form))
    note(`uploaded ${Math.floor((100 * Math.min(start + partBytes, bytes.length)) / bytes.length)} %`)
  }
  await api.call('POST', `${path}/upload?action=mpu-complete&uploadId=${uploadId}`, { parts })
}

/** Sends the zip of a bundle as the official command line tool does: whole, or in parts from 10 MiB. */
export async function uploadZip(
  api: Api,
  bundlePath: string,
  { bytes, signature, note }: { bytes: Uint8Array; signature: string; note: (line: string) => void },
): Promise<string> {
  const inParts = bytes.length >= partBytes
  const form = new FormData()
  form.set('checksum', await sha256Hex(bytes))
  if (!inParts) form.set('file', new Blob([Uint8Array.from(bytes)], { type: 'application/zip' }), 'bundle.zip')
  form.set('mimeType', 'application/zip')
  form.set('name', 'bundle.zip')
  form.set('signature', signature)
  form.set('sizeInBytes', String(bytes.length))
  const fileId = textOf(await api.call('POST', `${bundlePath}/files`, form), 'id')
  if (inParts) await uploadParts(api, `${bundlePath}/files/${fileId}`, bytes, note)
  return fileId
}
