import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { SecretFileError } from '../vault/read-secret-file.js'

export type CertificateFiles = { certFile: string; keyFile: string }
export type Certificate = { cert: string; key: string }

/** The certificate chain and key of the listener, in PEM form; throws a sentence when they do not fit together. */
export function readCertificate({ certFile, keyFile }: CertificateFiles): Certificate {
  const [cert, key] = [readText(certFile, 'TLS_CERT_FILE'), readText(keyFile, 'TLS_KEY_FILE')]
  let fits: boolean
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch {
    throw new SecretFileError(
      'TLS_CERT_FILE must hold a certificate and TLS_KEY_FILE its private key, both in PEM form.',
    )
  }
  if (!fits)
    throw new SecretFileError('The key in TLS_KEY_FILE does not belong to the first certificate in TLS_CERT_FILE.')
  return { cert, key }
}

function readText(file: string, name: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new SecretFileError(`The file that ${name} names cannot be read.`)
  }
}
