/**
 * How git speaks ssh: as the key of the connection and nobody else, to a host whose key the connection has, through the
 * build's way out. Nothing of the image, the home folder or an agent has a say, and nothing is learned from the host.
 */
export function sshCommand(folder: string): string {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${folder}/known_hosts`,
    'GlobalKnownHostsFile=/dev/null',
    'UpdateHostKeys=no',
    'CheckHostIP=no',
    'CanonicalizeHostname=no',
    'IdentitiesOnly=yes',
    `IdentityFile=${folder}/key`,
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    'ForwardAgent=no',
    'ForwardX11=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    'ControlMaster=no',
    'ControlPath=none',
    'ServerAliveInterval=15',
    'LogLevel=ERROR',
    `ProxyCommand=node ${folder}/connect-through.mjs %h %p`,
  ]
  return ['ssh -F none', ...options.map((option) => `-o '${option}'`)].join(' ')
}
