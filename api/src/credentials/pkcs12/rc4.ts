/** RC4, with which very old files encrypt; OpenSSL 3 has it no more. */
export function decryptRc4(key: Buffer, ciphertext: Buffer): Buffer {
  const state = Uint8Array.from({ length: 256 }, (_, index) => index)
  const at = (index: number) => state[index & 0xff] ?? 0
  const swap = (a: number, b: number) => {
    ;[state[a & 0xff], state[b & 0xff]] = [at(b), at(a)]
  }
  for (let i = 0, j = 0; i < 256; i += 1) {
    j += at(i) + (key[i % key.length] ?? 0)
    swap(i, j)
  }
  const plain = Buffer.alloc(ciphertext.length)
  for (let index = 0, i = 0, j = 0; index < ciphertext.length; index += 1) {
    i += 1
    j += at(i)
    swap(i, j)
    plain[index] = (ciphertext[index] ?? 0) ^ at(at(i) + at(j))
  }
  return plain
}
