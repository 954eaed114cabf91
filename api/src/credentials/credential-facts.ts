import { z } from 'zod'

import { refusalCodes } from './credential-refusal.js'

// Bounded: the child that fills this in has read a hostile file.
const Text = z.string().max(2000)
const Base64 = z.base64()

/** What a credential's file tells about itself, without secrets: stored beside the envelope and shown. */
export const CredentialFacts = z.object({
  format: z.enum(['pkcs12', 'jks', 'pem', 'p8', 'json']),
  /** As the keystore spells it. */
  keyAlias: Text.nullable(),
  /** Of the certificate; of the public key where there is none. */
  fingerprintSha256: z.string().regex(/^[0-9a-f]{64}$/),
  fingerprintSha1: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .nullable(),
  subject: Text.nullable(),
  issuer: Text.nullable(),
  serialNumber: Text.nullable(),
  notBefore: z.iso.datetime().nullable(),
  notAfter: z.iso.datetime().nullable(),
  keyType: Text,
  keyBits: z.number().int().nullable(),
  type: z.enum(['development', 'production']),
  /** Apple's team, from the certificate's subject. */
  teamId: Text.nullable(),
  clientEmail: Text.nullable(),
  projectId: Text.nullable(),
  /** The key's name at its issuer: Apple's key id or Google's `private_key_id`. */
  keyId: Text.nullable(),
  warnings: z.array(Text),
})
export type CredentialFacts = z.infer<typeof CredentialFacts>

/** Key and chain in one form, whatever the file was: PKCS#8 and X.509, DER. The key's own certificate comes first. */
export const NormalizedKey = z.object({ keyPkcs8B64: Base64, chainDerB64: z.array(Base64).max(10) })
export type NormalizedKey = z.infer<typeof NormalizedKey>

export const ProfileFacts = z.object({
  uuid: Text,
  name: Text,
  teamId: z.string().regex(/^[A-Z0-9]{10}$/),
  teamName: Text.nullable(),
  /** With its prefix, as in the entitlements: `ABCDE12345.com.example.app` or `ABCDE12345.*`. */
  applicationIdentifier: Text,
  type: z.enum(['development', 'ad-hoc', 'app-store', 'enterprise']),
  platforms: z.array(Text),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  deviceCount: z.number().int(),
  /** SHA-256 of each certificate that may sign with it. */
  certificateFingerprints: z.array(z.string().regex(/^[0-9a-f]{64}$/)).min(1),
  isXcodeManaged: z.boolean(),
  entitlements: z.array(Text),
})
export type ProfileFacts = z.infer<typeof ProfileFacts>

export const Verdict = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({ ok: z.literal(false), code: z.enum(refusalCodes), message: z.string().max(2000) }),
])
export type Verdict = z.infer<typeof Verdict>
