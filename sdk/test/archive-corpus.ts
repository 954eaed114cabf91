import type { ArchiveErrorCode, ArchiveLimits } from '../src/archive/index.js'
import { concat, makeZip, type ZipEntry, type ZipShape } from './make-zip.js'

export const page: ZipEntry = { name: 'index.html', content: '<h1>hello</h1>'.repeat(20) }
const mode = (octal: number): number => octal * 0x10000
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const extra = (id: number, length = 4): Uint8Array =>
  concat([bytes(id & 255, id >> 8, length, 0), new Uint8Array(length)])

/** [what, entries besides `page`, expected code, shape, limits]: null means accepted, the positive twin. */
export type ArchiveCase = [
  what: string,
  entries: ZipEntry[],
  expected: ArchiveErrorCode | null,
  shape?: ZipShape,
  limits?: Partial<ArchiveLimits>,
]

const names: ArchiveCase[] = [
  ...['../x', 'a/../../x', 'a//b', './x', 'a/./b', '/x', '', '..', 'a/..', '/'].map((name): ArchiveCase => [
    `the name ${JSON.stringify(name)}`,
    [{ name, content: 'x' }],
    'ARCHIVE_NAME_UNSAFE',
  ]),
  ...[
    'C:/x',
    '..\\x',
    'a\\b',
    '\\\\host\\x',
    'a\u0000b',
    'a\nb',
    'a\u007fb',
    'a\u202eb',
    'a\u200bb',
    'a|b',
    'a*',
    'a?',
    'a:b',
  ].map((name): ArchiveCase => [`the name ${JSON.stringify(name)}`, [{ name, content: 'x' }], 'ARCHIVE_NAME_UNSAFE']),
  ...['CON', 'con.txt', 'a/NUL', 'com1.js', 'LPT¹', 'b .txt ', 'b.', 'a./b', ' a', 'conin$'].map(
    (name): ArchiveCase => [`the name ${JSON.stringify(name)}`, [{ name, content: 'x' }], 'ARCHIVE_NAME_RESERVED'],
  ),
  [
    'ordinary names',
    [
      'console.js',
      'a/b/c.txt',
      '[slug]-$x (1)@2~.js',
      'café.js',
      '日本.txt',
      '.well-known/x',
      'com10.js',
      'nullable',
    ].map((name) => ({ name, content: 'x' })),
    null,
  ],
  ['a name in NFD', [{ name: 'cafe\u0301.js', content: 'x' }], 'ARCHIVE_NAME_ENCODING'],
  ['a name that is not UTF-8', [{ name: bytes(0x61, 0xff), content: 'x' }], 'ARCHIVE_NAME_ENCODING'],
  ['an overlong UTF-8 slash', [{ name: bytes(0x61, 0xc0, 0xaf, 0x62), content: 'x' }], 'ARCHIVE_NAME_ENCODING'],
  ['a name in an unnamed character set', [{ name: 'café.js', content: 'x', flags: 0 }], 'ARCHIVE_NAME_ENCODING'],
  ['an ASCII name without the UTF-8 flag', [{ name: 'cafe.js', content: 'x', flags: 0 }], null],
  ['a second name in an extra field', [{ name: 'a', content: 'x', extra: extra(0x7075) }], 'ARCHIVE_NAME_ENCODING'],
  ['a time in an extra field', [{ name: 'a', content: 'x', extra: extra(0x5455), localExtra: extra(0x5455, 9) }], null],
  ['a name of 64 kB', [{ name: 'a'.repeat(65_000), content: 'x' }], 'ARCHIVE_NAME_TOO_LONG'],
  ['a segment of 256 bytes', [{ name: 'é'.repeat(128), content: 'x' }], 'ARCHIVE_NAME_TOO_LONG'],
  ['a segment of 255 bytes', [{ name: 'a'.repeat(255), content: 'x' }], null],
  ['33 segments', [{ name: 'a/'.repeat(32) + 'b', content: 'x' }], 'ARCHIVE_TOO_DEEP'],
  ['32 segments', [{ name: 'a/'.repeat(31) + 'b', content: 'x' }], null],
]

const collisions: ArchiveCase[] = [
  [
    'the same name twice',
    [
      { name: 'a', content: 'x' },
      { name: 'a', content: 'y' },
    ],
    'ARCHIVE_NAME_DUPLICATE',
  ],
  ['the same directory twice', [{ name: 'a/' }, { name: 'a/' }], 'ARCHIVE_NAME_DUPLICATE'],
  ['index.html and INDEX.html', [{ name: 'INDEX.html', content: 'x' }], 'ARCHIVE_NAME_COLLISION'],
  [
    'ﬁle.js and file.js',
    [
      { name: 'ﬁle.js', content: 'x' },
      { name: 'file.js', content: 'x' },
    ],
    'ARCHIVE_NAME_COLLISION',
  ],
  [
    'straße and STRASSE',
    [
      { name: 'straße', content: 'x' },
      { name: 'STRASSE', content: 'x' },
    ],
    'ARCHIVE_NAME_COLLISION',
  ],
  [
    'a file used as a directory',
    [
      { name: 'a', content: 'x' },
      { name: 'a/b', content: 'x' },
    ],
    'ARCHIVE_NAME_COLLISION',
  ],
  ['a file and a directory of one name', [{ name: 'a', content: 'x' }, { name: 'a/' }], 'ARCHIVE_NAME_DUPLICATE'],
  [
    'directories that differ by case',
    [
      { name: 'a/x', content: 'x' },
      { name: 'A/y', content: 'x' },
    ],
    'ARCHIVE_NAME_COLLISION',
  ],
  [
    'a directory and files in it',
    [{ name: 'a/' }, { name: 'a/x', content: 'x' }, { name: 'a/y/z', content: 'x' }],
    null,
  ],
]

const types: ArchiveCase[] = [
  ['a symbolic link', [{ name: 'a', content: '/etc/passwd', attributes: mode(0o120777) }], 'ARCHIVE_ENTRY_TYPE'],
  [
    'a symbolic link and a file of its name',
    [
      { name: 'a', content: '/tmp', attributes: mode(0o120777) },
      { name: 'a', content: 'x' },
    ],
    'ARCHIVE_ENTRY_TYPE',
  ],
  ['a character device', [{ name: 'a', attributes: mode(0o020666) }], 'ARCHIVE_ENTRY_TYPE'],
  ['a block device', [{ name: 'a', attributes: mode(0o060666) }], 'ARCHIVE_ENTRY_TYPE'],
  ['a pipe', [{ name: 'a', attributes: mode(0o010666) }], 'ARCHIVE_ENTRY_TYPE'],
  ['a socket', [{ name: 'a', attributes: mode(0o140666) }], 'ARCHIVE_ENTRY_TYPE'],
  ['a setuid file', [{ name: 'a', content: 'x', attributes: mode(0o104755) }], 'ARCHIVE_ENTRY_TYPE'],
  ['a directory without a slash', [{ name: 'a', attributes: 0x10 }], 'ARCHIVE_ENTRY_TYPE'],
  ['a file type with a slash', [{ name: 'a/', attributes: mode(0o100644) }], 'ARCHIVE_ENTRY_TYPE'],
  ['a directory with content', [{ name: 'a/', content: 'xyz', stored: true }], 'ARCHIVE_ENTRY_TYPE'],
  [
    'a file of mode 0000, one of mode 0755, a directory',
    [
      { name: 'a', content: 'x', attributes: mode(0o100000) },
      { name: 'b', content: 'x', attributes: mode(0o100755) },
      { name: 'c/', attributes: mode(0o040755) + 0x10 },
    ],
    null,
  ],
]

const zeros = new Uint8Array(20 * 1024 * 1024)
const sizes: ArchiveCase[] = [
  [
    'a file over the file limit',
    [{ name: 'a', content: 'x'.repeat(1001) }],
    'ARCHIVE_FILE_TOO_LARGE',
    {},
    { maxFileBytes: 1000 },
  ],
  ['a file at the file limit', [{ name: 'a', content: 'x'.repeat(1000) }], null, {}, { maxFileBytes: 1000 }],
  [
    'more than the total limit',
    [{ name: 'a', content: 'x'.repeat(1000) }],
    'ARCHIVE_TOTAL_TOO_LARGE',
    {},
    { maxTotalBytes: 1000 },
  ],
  ['more entries than allowed', [{ name: 'a', content: 'x' }], 'ARCHIVE_TOO_MANY_ENTRIES', {}, { maxEntries: 1 }],
  ['as many entries as allowed', [{ name: 'a', content: 'x' }], null, {}, { maxEntries: 2 }],
  ['a file of more bytes than allowed', [], 'ARCHIVE_TOO_LARGE', {}, { maxArchiveBytes: 100 }],
  ['20 MiB of zeros in 20 kB', [{ name: 'a', content: zeros }], 'ARCHIVE_RATIO'],
  ['text of a high ratio but small size', [{ name: 'a', content: 'abc\n'.repeat(100_000) }], null],
  [
    'content longer than declared',
    [{ name: 'a', content: zeros.subarray(0, 100_000), size: 10 }],
    'ARCHIVE_SIZE_MISMATCH',
  ],
  ['content shorter than declared', [{ name: 'a', content: 'x'.repeat(50), size: 51 }], 'ARCHIVE_SIZE_MISMATCH'],
  ['a stored entry of two sizes', [{ name: 'a', content: 'xyz', stored: true, size: 4 }], 'ARCHIVE_SIZE_MISMATCH'],
  ['a wrong CRC', [{ name: 'a', content: 'xyz', crc: 1 }], 'ARCHIVE_CRC_MISMATCH'],
  [
    'a deflate stream that is noise',
    [{ name: 'a', content: 'xyz', packed: bytes(0xff, 0xff, 0xff, 0xff) }],
    'ARCHIVE_DEFLATE_BROKEN',
  ],
  [
    'bytes after the deflate stream',
    [{ name: 'a', content: '', stored: false, packed: bytes(3, 0, 65, 66), method: 8 }],
    'ARCHIVE_DEFLATE_BROKEN',
  ],
  ['an empty deflate stream', [{ name: 'a', content: '', stored: false, packed: bytes(3, 0), method: 8 }], null],
]

const structure: ArchiveCase[] = [
  ['an honest archive', [{ name: 'a', content: 'x' }], null],
  ['bytes before the first header', [], 'ARCHIVE_NOT_ZIP', { prefix: bytes(1, 2, 3) }],
  ['a DSSE text before the first header', [], 'ARCHIVE_NOT_ZIP', { prefix: Buffer.from('DSSEv1 ') }],
  [
    'another local header before the first entry',
    [],
    'ARCHIVE_RANGES',
    { prefix: makeZip([{ name: 'hidden', content: 'x' }]).subarray(0, 40) },
  ],
  ['bytes after the end record', [], 'ARCHIVE_TRUNCATED', { trailing: bytes(0) }],
  ['a comment', [], 'ARCHIVE_TRUNCATED', { comment: Buffer.from('hello') }],
  ['a comment that is an end record', [], 'ARCHIVE_END_RECORD', { comment: makeZip([]) }],
  ['several disks', [], 'ARCHIVE_END_RECORD', { disk: 1 }],
  ['fewer entries than the directory holds', [{ name: 'a', content: 'x' }], 'ARCHIVE_RANGES', { entries: 1 }],
  ['more entries than the directory holds', [], 'ARCHIVE_HEADER_BROKEN', { entries: 2 }],
  ['a count of no entries', [], 'ARCHIVE_EMPTY', { entries: 0 }],
  ['an entry count of zip64', [], 'ARCHIVE_ZIP64', { entries: 0xffff }],
  ['a directory offset that is off', [], 'ARCHIVE_RANGES', { centralShift: 1 }],
  ['bytes before the directory', [], 'ARCHIVE_RANGES', { gap: bytes(0, 0) }],
  ['bytes between entries', [{ name: 'a', content: 'x', before: bytes(0) }], 'ARCHIVE_RANGES'],
  [
    'overlapping entries',
    [{ name: 'index.htmk', content: page.content!, offset: 0, localName: 'index.html' }],
    'ARCHIVE_HEADERS_DISAGREE',
  ],
  ['two names for one entry', [{ name: 'a', content: 'x', offset: 5 }], 'ARCHIVE_HEADER_BROKEN'],
  ['another local name', [{ name: 'a', content: 'x', localName: 'b' }], 'ARCHIVE_HEADERS_DISAGREE'],
  ['another local size', [{ name: 'a', content: 'x', localSize: 2 }], 'ARCHIVE_HEADERS_DISAGREE'],
  ['another local method', [{ name: 'a', content: 'x', localMethod: 0 }], 'ARCHIVE_HEADERS_DISAGREE'],
  [
    'data descriptors with and without signature',
    [
      { name: 'a', content: 'x', descriptor: 'signed' },
      { name: 'b', content: 'y', descriptor: 'bare' },
    ],
    null,
  ],
  ['a data descriptor that lies', [{ name: 'a', content: 'x', descriptor: 'wrong' }], 'ARCHIVE_HEADERS_DISAGREE'],
  ['an encrypted entry', [{ name: 'a', content: 'x', flags: 0x0801 }], 'ARCHIVE_ENCRYPTED'],
  ['unknown flags', [{ name: 'a', content: 'x', flags: 0x0820 }], 'ARCHIVE_HEADER_BROKEN'],
  ['bzip2', [{ name: 'a', content: 'x', method: 12 }], 'ARCHIVE_METHOD'],
  ['a zip64 extra field', [{ name: 'a', content: 'x', localExtra: extra(1, 16) }], 'ARCHIVE_ZIP64'],
  ['an extra field that runs over', [{ name: 'a', content: 'x', extra: bytes(9, 9, 200, 0) }], 'ARCHIVE_HEADER_BROKEN'],
  ['an entry comment', [{ name: 'a', content: 'x', comment: 'hi' }], 'ARCHIVE_HEADER_BROKEN'],
]

/** Every archive rule, with its positive twin. */
export const archiveCorpus: ArchiveCase[] = [...names, ...collisions, ...types, ...sizes, ...structure]
