import { closeSync, openSync, readSync, statSync } from 'node:fs'

export function logSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** Text of a log from `offset` on, at most its last 256 KiB. */
function readLog(file: string, offset: number): string {
  const size = logSize(file)
  const from = Math.max(offset, size - 256 * 1024)
  if (size <= from) return ''
  const bytes = Buffer.alloc(size - from)
  const fd = openSync(file, 'r')
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, from)).toString('utf8')
  } finally {
    closeSync(fd)
  }
}

export function lastLines(file: string, count: number): string[] {
  return readLog(file, 0).split('\n').filter(Boolean).slice(-count)
}

/** True once the process wrote its `"msg":"ready"` line. */
export function saidReady(file: string, offset: number): boolean {
  return readLog(file, offset).includes('"msg":"ready"')
}
