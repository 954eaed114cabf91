import { crc32, deflateSync } from 'node:zlib'
import { encode } from 'uqr'

const SCALE = 8

/** A QR code as a PNG of one bit a pixel. */
export function qrPng(text: string): Buffer {
  const { data, size } = encode(text, { ecc: 'M', border: 4 })
  const width = size * SCALE
  const rowBytes = Math.ceil(width / 8)
  const rows: Buffer[] = []
  for (const cells of data) {
    const row = Buffer.alloc(1 + rowBytes)
    for (let x = 0; x < width; x += 1) {
      const isLight = !cells[Math.floor(x / SCALE)]
      if (isLight) row.writeUInt8(row.readUInt8(1 + (x >> 3)) | (0x80 >> (x & 7)), 1 + (x >> 3))
    }
    for (let copy = 0; copy < SCALE; copy += 1) rows.push(row)
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(width, 4)
  head.writeUInt8(1, 8)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
