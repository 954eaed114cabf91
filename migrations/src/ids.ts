import { v7 } from 'uuid'

/** A new UUIDv7: the official CLI accepts nothing but UUIDs, and these sort by time of creation. */
export const newId = (): string => v7()
