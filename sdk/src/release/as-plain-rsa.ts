const pssIdentifierBytes = 67
const rsaIdentifier = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0]

/**
 * The same RSA key with the plain identifier: WebCrypto imports no other, and takes the padding as an argument instead.
 *
 * @param der SPKI or PKCS#8 of 256 to 65535 bytes whose AlgorithmIdentifier, of the accepted PSS form, starts at `at`
 */
export function asPlainRsa(der: Uint8Array, at = 4): Uint8Array<ArrayBuffer> {
  const length = der.length - 4 - pssIdentifierBytes + rsaIdentifier.length
  const head = [0x30, 0x82, length >> 8, length & 255, ...der.subarray(4, at), ...rsaIdentifier]
  const plain = new Uint8Array(4 + length)
  plain.set(head)
  plain.set(der.subarray(at + pssIdentifierBytes), head.length)
  return plain
}
