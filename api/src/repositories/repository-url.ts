import { Problem } from '../problems.js'

/** Where each provider keeps its repositories. The CLI says `azure`, the SDKs `azure_devops`. */
export const providerHosts: Record<string, string> = {
  github: 'github.com',
  gitlab: 'gitlab.com',
  bitbucket: 'bitbucket.org',
  azure: 'dev.azure.com',
  azure_devops: 'dev.azure.com',
}

export type RepositoryName = {
  ownerSlug: string
  provider: string
  repositorySlug: string
  projectSlug?: string | undefined
}

/** Path of a repository at its provider, from what the official CLI read out of the git remote. */
export function repositoryPath({ ownerSlug, provider, repositorySlug, projectSlug }: RepositoryName): string {
  if (!(provider in providerHosts)) {
    throw new Problem(
      'git-provider-unknown',
      `Git provider "${provider}" is not known. Link the repository by its URL.`,
    )
  }
  const middle = projectSlug ? `${projectSlug}/` : ''
  return provider.startsWith('azure')
    ? `${ownerSlug}/${middle}_git/${repositorySlug}`
    : `${ownerSlug}/${middle}${repositorySlug}`
}

/** The address that is cloned: with a key over ssh, else over https. */
export function repositoryUrl(host: string, path: string, overSsh: boolean): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/')
  return overSsh ? `ssh://git@${host}/${encoded}` : `https://${host}/${encoded}`
}
