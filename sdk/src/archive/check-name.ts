import { ArchiveError } from './archive-error.js'
import type { ArchiveLimits } from './archive-limits.js'

const hiddenCharacters = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u
const forbiddenCharacters = /[\\<>:"|?*]/
const reservedNames = /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9]|lpt[0-9])(?:$|[. ])/

const encoder = new TextEncoder()

/** The form in which two names are the same file on some file system: NFKC and case folded. */
function foldName(name: string): string {
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC')
}

function checkSegment(segment: string, path: string, limits: ArchiveLimits): void {
  if (segment === '' || segment === '.' || segment === '..') {
    throw new ArchiveError('ARCHIVE_NAME_UNSAFE', `The path ${quote(path)} has an empty or relative segment.`, path)
  }
  if (/[. ]$/.test(segment) || segment.startsWith(' ')) {
    throw new ArchiveError(
      'ARCHIVE_NAME_RESERVED',
      `The path ${quote(path)} has a segment with a dot or space at its edge.`,
      path,
    )
  }
  if (reservedNames.test(foldName(segment))) {
    throw new ArchiveError(
      'ARCHIVE_NAME_RESERVED',
      `The path ${quote(path)} uses a name reserved by an operating system.`,
      path,
    )
  }
  if (encoder.encode(segment).length > limits.maxSegmentBytes) {
    throw new ArchiveError(
      'ARCHIVE_NAME_TOO_LONG',
      `A segment of ${quote(path)} is longer than ${limits.maxSegmentBytes} bytes.`,
      path,
    )
  }
}

/** A path fit for a message: short and without characters that could disturb a terminal or a log. */
function quote(path: string): string {
  return JSON.stringify(path.slice(0, 200)).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/**
 * Refuses a path that could leave its folder, or that is not the same name on every file system.
 * Directories are given without their trailing slash.
 *
 * @throws {ArchiveError} `ARCHIVE_NAME_*`, `ARCHIVE_TOO_DEEP`
 */
export function checkName(path: string, limits: ArchiveLimits): void {
  if (encoder.encode(path).length > limits.maxPathBytes) {
    throw new ArchiveError(
      'ARCHIVE_NAME_TOO_LONG',
      `A path is longer than ${limits.maxPathBytes} bytes.`,
      path.slice(0, 200),
    )
  }
  if (hiddenCharacters.test(path) || forbiddenCharacters.test(path)) {
    throw new ArchiveError(
      'ARCHIVE_NAME_UNSAFE',
      `The path ${quote(path)} has a control, hidden or forbidden character.`,
      path,
    )
  }
  if (path.normalize('NFC') !== path) {
    throw new ArchiveError('ARCHIVE_NAME_ENCODING', `The path ${quote(path)} is not in Unicode form NFC.`, path)
  }
  const segments = path.split('/')
  if (segments.length > limits.maxDepth) {
    throw new ArchiveError(
      'ARCHIVE_TOO_DEEP',
      `The path ${quote(path)} is deeper than ${limits.maxDepth} segments.`,
      path,
    )
  }
  for (const segment of segments) checkSegment(segment, path, limits)
}

/**
 * Refuses two paths that some file system takes for the same, and a file used as a directory.
 *
 * @throws {ArchiveError} `ARCHIVE_NAME_DUPLICATE`, `ARCHIVE_NAME_COLLISION`
 */
export function checkUniqueNames(entries: readonly { path: string; directory: boolean }[]): void {
  const listed = new Set<string>()
  const places = new Map<string, { path: string; directory: boolean }>()
  const claim = (path: string, directory: boolean): void => {
    const folded = foldName(path)
    const other = places.get(folded)
    if (other && (other.path !== path || other.directory !== directory)) {
      throw new ArchiveError(
        'ARCHIVE_NAME_COLLISION',
        `${quote(path)} and ${quote(other.path)} are one name on some devices.`,
        path,
      )
    }
    places.set(folded, { path, directory })
  }
  for (const { path, directory } of entries) {
    if (listed.has(path))
      throw new ArchiveError('ARCHIVE_NAME_DUPLICATE', `The path ${quote(path)} occurs twice.`, path)
    listed.add(path)
    claim(path, directory)
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      claim(path.slice(0, slash), true)
    }
  }
}
