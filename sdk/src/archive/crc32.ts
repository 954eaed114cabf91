const table = new Uint32Array(256).map((_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** The table of a byte that one more byte follows. */
const followed = (before: Uint32Array): Uint32Array =>
  before.map((value) => (table[value & 0xff] as number) ^ (value >>> 8))
const table2 = followed(table)
const table3 = followed(table2)
const table4 = followed(table3)

const byte = (bytes: Uint8Array, index: number): number => bytes[index] as number

/** CRC-32 as zip uses it (polynomial 0xEDB88320), as an unsigned number. Four bytes at a time. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  let index = 0
  for (const end = bytes.length - 3; index < end; index += 4) {
    crc ^= byte(bytes, index) | (byte(bytes, index + 1) << 8) | (byte(bytes, index + 2) << 16)
    crc ^= byte(bytes, index + 3) << 24
    crc =
      (table4[crc & 0xff] as number) ^
      (table3[(crc >>> 8) & 0xff] as number) ^
      (table2[(crc >>> 16) & 0xff] as number) ^
      (table[crc >>> 24] as number)
  }
  for (; index < bytes.length; index++) crc = (table[(crc ^ byte(bytes, index)) & 0xff] as number) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
