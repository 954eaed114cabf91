import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'

export type S3ClientOptions = {
  endpoint?: string | undefined
  region?: string | undefined
  credentials?: NonNullable<S3ClientConfig['credentials']>
}

const ignore = () => {}

/** Credentials come from the SDK's own chain (instance or pod identity) unless a test gives some. */
export function createS3Client({ endpoint, region, credentials }: S3ClientOptions): S3Client {
  return new S3Client({
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    ...(credentials !== undefined && { credentials }),
    // Checksums are set by the driver; the SDK's own would put upload parameters into presigned URLs.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The SDK would write plain text lines to the console; failures reach the log as errors with their cause.
    logger: { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore },
  })
}
