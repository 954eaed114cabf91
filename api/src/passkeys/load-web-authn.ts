/** Loaded where a passkey is at hand: with its parsers of certificates it would be a third of what every start costs. */
export const loadWebAuthn = () => import('@simplewebauthn/server')
