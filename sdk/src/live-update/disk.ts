/** The few things the storage asks of a file system, each one step that happens or does not. */
export interface Disk {
  makeDirectory(path: string): Promise<void>
  /** Creates a file that must not exist. It is durable once it is synced. */
  writeNewFile(path: string, content: Uint8Array): Promise<void>
  /** Makes the content of a file durable. */
  syncFile(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>
  /** Removes a file or a whole directory, if there is one. */
  remove(path: string): Promise<void>
  /** `null` when there is none. */
  readFile(path: string): Promise<Uint8Array | null>
  /** `null` when there is none. Links are not followed. */
  list(path: string): Promise<{ name: string; kind: 'file' | 'directory' | 'other' }[] | null>
}
