import { z } from '@hono/zod-openapi'

/** Long rather than complicated (NIST SP 800-63B, OWASP ASVS 5.0 6.2.1). */
export const NewPassword = z.string().min(12).max(1024)
