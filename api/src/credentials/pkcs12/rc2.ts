/** RC2 (RFC 2268) decryption in CBC mode: Keychain and old Windows encrypt certificates with it, OpenSSL 3 no more. */
const PITABLE = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32' +
    'bd8f40eb86b77b0bf09521225c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626' +
    '6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a' +
    '961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731' +
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e' +
    'c5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
)
const BLOCK_BYTES = 8
const SHIFTS = [1, 2, 3, 5] as const

export function decryptRc2(key: Buffer, effectiveBits: number, iv: Buffer, ciphertext: Buffer): Buffer {
  const schedule = expandKey(key, effectiveBits)
  const plain = Buffer.alloc(ciphertext.length)
  let previous = iv
  for (let at = 0; at < ciphertext.length; at += BLOCK_BYTES) {
    const block = ciphertext.subarray(at, at + BLOCK_BYTES)
    const opened = decryptBlock(schedule, block)
    for (let index = 0; index < BLOCK_BYTES; index += 1)
      plain[at + index] = byteAt(opened, index) ^ byteAt(previous, index)
    previous = block
  }
  return plain
}

function expandKey(key: Buffer, effectiveBits: number): Uint16Array {
  const table = Buffer.alloc(128)
  key.copy(table)
  for (let index = key.length; index < 128; index += 1) {
    table[index] = byteAt(PITABLE, (byteAt(table, index - 1) + byteAt(table, index - key.length)) & 0xff)
  }
  const effectiveBytes = Math.ceil(effectiveBits / 8)
  const mask = 0xff >> (8 * effectiveBytes - effectiveBits)
  table[128 - effectiveBytes] = byteAt(PITABLE, byteAt(table, 128 - effectiveBytes) & mask)
  for (let index = 127 - effectiveBytes; index >= 0; index -= 1) {
    table[index] = byteAt(PITABLE, byteAt(table, index + 1) ^ byteAt(table, index + effectiveBytes))
  }
  return Uint16Array.from({ length: 64 }, (_, index) => table.readUInt16LE(2 * index))
}

function decryptBlock(schedule: Uint16Array, block: Buffer): Buffer {
  const words = [0, 2, 4, 6].map((offset) => block.readUInt16LE(offset))
  let next = 63
  const mix = () => {
    for (let index = 3; index >= 0; index -= 1) {
      const shift = SHIFTS[index] ?? 0
      const word = wordAt(words, index)
      const turned = ((word >>> shift) | (word << (16 - shift))) & 0xffff
      const [one, two, three] = [wordAt(words, index + 3), wordAt(words, index + 2), wordAt(words, index + 1)]
      words[index] = (turned - (schedule[next] ?? 0) - (one & two) - (~one & three)) & 0xffff
      next -= 1
    }
  }
  const mash = () => {
    for (let index = 3; index >= 0; index -= 1) {
      words[index] = (wordAt(words, index) - (schedule[wordAt(words, index + 3) & 63] ?? 0)) & 0xffff
    }
  }
  for (let round = 0; round < 16; round += 1) {
    mix()
    if (round === 4 || round === 10) mash()
  }
  const opened = Buffer.alloc(BLOCK_BYTES)
  words.forEach((word, index) => opened.writeUInt16LE(word, 2 * index))
  return opened
}

const byteAt = (bytes: Buffer, index: number): number => bytes[index] ?? 0
const wordAt = (words: number[], index: number): number => words[index % 4] ?? 0
