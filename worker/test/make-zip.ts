import { crc32, deflateRawSync } from 'node:zlib'

export type ZipInput = {
  name: string | Buffer
  content?: string | Buffer
  /** Unix file mode with type bits; 0o100644 unless told. */
  mode?: number
  /** What the directory claims, where that is to be a lie. */
  claimedBytes?: number
  method?: number
}

/** A zip archive as Unix tools write it; it writes whatever it is told, also what no reader should accept. */
export function makeZip(inputs: readonly ZipInput[]): Buffer {
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let offset = 0
  for (const input of inputs) {
    const name = Buffer.from(input.name as string)
    const content = Buffer.from((input.content as string | undefined) ?? '')
    const packed = deflateRawSync(content)
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt16LE(0x0800, 2)
    fields.writeUInt16LE(input.method ?? 8, 4)
    fields.writeUInt16LE(0x21, 8)
    fields.writeUInt32LE(crc32(content), 10)
    fields.writeUInt32LE(packed.length, 14)
    fields.writeUInt32LE(input.claimedBytes ?? content.length, 18)
    fields.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, name, packed])
    const central = Buffer.alloc(46)
    central.write('PK\x01\x02', 'latin1')
    central.writeUInt16LE((3 << 8) | 20, 4)
    fields.copy(central, 6)
    central.writeUInt32LE(((input.mode ?? 0o100644) << 16) >>> 0, 38)
    central.writeUInt32LE(offset, 42)
    locals.push(local)
    centrals.push(central, name)
    offset += local.length
  }
  const directory = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(inputs.length, 8)
  end.writeUInt16LE(inputs.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}
