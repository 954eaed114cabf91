import { Server } from 'node:https'
import type { ServerType } from '@hono/node-server'
import type { Logger } from 'pino'
import { tlsSettings } from './tls-settings.js'
import { type Certificate, type CertificateFiles, readCertificate } from './read-certificate.js'

const LOOK_MS = 60_000

/** Takes a renewed certificate without a restart. A pair that does not fit, as in the middle of a renewal, is left alone. */
export function renewCertificate(
  server: ServerType,
  files: CertificateFiles,
  { log, everyMs = LOOK_MS, signal }: { log: Logger; everyMs?: number; signal: AbortSignal },
): void {
  let used = fingerprintOf(readCertificate(files))
  const look = () => {
    try {
      const certificate = readCertificate(files)
      if (fingerprintOf(certificate) === used || !(server instanceof Server)) return
      server.setSecureContext(tlsSettings(certificate))
      used = fingerprintOf(certificate)
      log.info('a renewed certificate is used')
    } catch (error) {
      log.error(
        { reason: error instanceof Error ? error.message : '' },
        'the certificate files do not fit; the old are used',
      )
    }
  }
  const timer = setInterval(look, everyMs)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

const fingerprintOf = ({ cert, key }: Certificate) => cert + key
