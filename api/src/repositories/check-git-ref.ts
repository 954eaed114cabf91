import { Problem } from '../problems.js'

const REF = /^[A-Za-z0-9][A-Za-z0-9._/@+#=-]{0,200}$/

/** A branch, a tag or a commit, as git names them; nothing that a command would take for an option or a range. */
export function checkGitRef(ref: string): string {
  const parts = ref.split('/')
  const isPlain =
    REF.test(ref) &&
    !ref.includes('..') &&
    parts.every((part) => part !== '' && !/^[.-]/.test(part) && !part.endsWith('.') && !part.endsWith('.lock'))
  if (isPlain) return ref
  throw new Problem('git-ref-invalid', 'gitRef: name a branch, a tag or a commit, such as "main" or "v1.2.0".')
}
