import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Disk, nodeDisk } from '../src/live-update/node/index.js'

/** What may have become of everything that was not flushed when the power went. */
export const losses = ['nothing', 'emptied', 'zeroed', 'cut', 'names'] as const
export type Loss = (typeof losses)[number]

/** A disk that promises no more than it was asked to: contents and names last once they are synced, each by itself. */
export interface LossyDisk extends Disk {
  steps: number
  /** Ends the power at this step; nothing works from there on. */
  dieAt: number
  lose(loss: Loss): void
  /** Removes what it kept aside. */
  close(): void
}

export function lossyDisk(dieAt: number): LossyDisk {
  const aside = mkdtempSync(join(tmpdir(), 'capstan-aside-'))
  const contents = new Set<string>()
  let names: { folders: string[]; undo: () => void }[] = []
  let copies = 0

  /** How to bring back what is at a path now. */
  function keep(path: string): () => void {
    if (!existsSync(path)) return () => rmSync(path, { recursive: true, force: true })
    const copy = join(aside, String(copies++))
    cpSync(path, copy, { recursive: true })
    return () => {
      rmSync(path, { recursive: true, force: true })
      cpSync(copy, path, { recursive: true })
    }
  }
  function step(): void {
    disk.steps++
    if (disk.steps >= disk.dieAt) throw Object.assign(new Error('EIO: the power is gone'), { code: 'EIO' })
  }

  const disk: LossyDisk = {
    ...nodeDisk,
    steps: 0,
    dieAt,
    async makeDirectory(path) {
      step()
      let first = path
      while (!existsSync(dirname(first))) first = dirname(first)
      if (!existsSync(path)) names.push({ folders: [dirname(first)], undo: keep(first) })
      await nodeDisk.makeDirectory(path)
    },
    async writeNewFile(path, content) {
      if (disk.steps + 1 === disk.dieAt) writeFileSync(path, content.subarray(0, content.length >> 1))
      step()
      names.push({ folders: [dirname(path)], undo: keep(path) })
      contents.add(path)
      await nodeDisk.writeNewFile(path, content)
    },
    async syncFile(path) {
      step()
      contents.delete(path)
      await nodeDisk.syncFile(path)
    },
    async syncDirectory(path) {
      step()
      names = names.filter(({ folders }) => !folders.includes(path))
      await nodeDisk.syncDirectory(path)
    },
    async rename(from, to) {
      step()
      const restore = keep(to)
      const undo = (): void => {
        if (existsSync(to)) renameSync(to, from)
        restore()
      }
      names.push({ folders: [dirname(from), dirname(to)], undo })
      await nodeDisk.rename(from, to)
      for (const path of contents) {
        if (path !== from && !path.startsWith(`${from}/`)) continue
        contents.delete(path)
        contents.add(to + path.slice(from.length))
      }
    },
    async remove(path) {
      step()
      if (existsSync(path)) names.push({ folders: [dirname(path)], undo: keep(path) })
      await nodeDisk.remove(path)
    },
    lose(loss) {
      if (loss === 'names') for (const { undo } of names.toReversed()) undo()
      if (loss === 'nothing' || loss === 'names') return
      for (const path of contents) {
        if (!existsSync(path)) continue
        const { size } = statSync(path)
        const left = {
          emptied: Buffer.alloc(0),
          zeroed: Buffer.alloc(size),
          cut: readFileSync(path).subarray(0, size >> 1),
        }
        writeFileSync(path, left[loss])
      }
    },
    close: () => rmSync(aside, { recursive: true, force: true }),
  }
  return disk
}
