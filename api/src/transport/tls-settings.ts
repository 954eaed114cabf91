import type { ServerOptions } from 'node:https'
import type { Certificate } from './read-certificate.js'

/** TLS 1.3, and of 1.2 what keeps a recorded connection secret when the key is stolen later. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
]
const HANDSHAKE_MS = 10_000

export function tlsSettings({ cert, key }: Certificate): ServerOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS.join(':'),
    honorCipherOrder: true,
    handshakeTimeout: HANDSHAKE_MS,
  }
}
