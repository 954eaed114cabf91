import type { OpenAPIHono } from '@hono/zod-openapi'
import { registerAppWebhookRoutes } from './app-webhooks/routes.js'
import { registerEmailChangeRoutes } from './email-changes/routes.js'
import { registerPasswordResetRoutes } from './password-resets/routes.js'
import { registerAppRoutes } from './apps/routes.js'
import { registerAuditRoutes } from './audit/routes.js'
import type { Env } from './auth/access.js'
import { registerControlRoutes } from './controls/routes.js'
import { registerIncidentRoutes } from './incidents/routes.js'
import { registerSupportRoutes } from './support/routes.js'
import { registerHealthRoutes } from './health/routes.js'
import { registerObjectRoutes } from './objects/routes.js'
import { registerMemberRoutes } from './members/routes.js'
import { registerTeamRoutes } from './teams/routes.js'
import { registerGrantRoutes } from './grants/routes.js'
import { registerInvitationRoutes } from './invitations/routes.js'
import { registerAccessReviewRoutes } from './access-reviews/routes.js'
import { registerOrganizationRoutes } from './organizations/routes.js'
import { registerSessionRoutes } from './sessions/routes.js'
import { registerTokenRoutes } from './tokens/routes.js'
import { registerCheckpointWebhookRoutes } from './checkpoint-webhooks/routes.js'
import { registerIdentityProviderRoutes } from './identity-providers/routes.js'
import { registerProviderPages } from './pages/provider-routes.js'
import { registerTrustPolicyRoutes } from './trust-policies/routes.js'
import { registerCiTokenRoutes } from './ci-tokens/routes.js'
import { registerEmailPages } from './pages/email-routes.js'
import { registerJoinPages } from './pages/join-routes.js'
import { registerPasswordPages } from './pages/password-routes.js'
import { registerPages } from './pages/routes.js'
import { registerSecondFactorRoutes } from './second-factors/routes.js'
import { registerPasskeyRoutes } from './passkeys/routes.js'
import { registerUserRoutes } from './users/routes.js'
import { registerChangeRequestRoutes } from './change-requests/routes.js'
import { registerCredentialRoutes } from './credentials/routes.js'
import { registerProvisioningProfileRoutes } from './provisioning-profiles/routes.js'
import { registerAppleApiKeyRoutes } from './apple-api-keys/routes.js'
import { registerGoogleServiceAccountKeyRoutes } from './google-service-account-keys/routes.js'
import { registerCredentialVersionRoutes } from './credential-versions/routes.js'
import { registerDeletionCertificateRoutes } from './deletion-certificates/routes.js'
import { registerBundleRoutes } from './bundles/routes.js'
import { registerChannelRoutes } from './channels/routes.js'
import { registerDeploymentRoutes } from './deployments/routes.js'
import { registerDeviceRoutes } from './devices/routes.js'
import { registerPlatformKeyRoutes } from './platform-keys/routes.js'
import { registerPublicKeyRoutes } from './public-keys/routes.js'
import { registerRolloutRoutes } from './rollouts/routes.js'
import { registerRootRoutes } from './roots/routes.js'
import { registerStaticRoutes } from './static-delivery/routes.js'
import { registerTelemetryRoutes } from './telemetry/routes.js'
import { registerPatchRoutes } from './patches/routes.js'
import { registerUpdateRoutes } from './updates/routes.js'
import { registerArtifactRoutes } from './artifacts/routes.js'
import { registerBuildShareRoutes } from './build-shares/routes.js'
import { registerBuildSourceRoutes } from './build-sources/routes.js'
import { registerConfigurationRoutes } from './native-configurations/routes.js'
import { registerEnvironmentRoutes } from './environments/routes.js'
import { registerGitConnectionRoutes } from './git-connections/routes.js'
import { registerRepositoryRoutes } from './repositories/routes.js'
import { registerBuildRoutes } from './builds/routes.js'
import { registerInsightRoutes } from './insight/routes.js'
import { registerJobRoutes } from './jobs/routes.js'
import { registerWorkerRoutes } from './worker-routes/routes.js'

/** Every route of the API, one line a feature. */
export function registerRoutes(app: OpenAPIHono<Env>): void {
  registerHealthRoutes(app)
  registerControlRoutes(app)
  registerSupportRoutes(app)
  registerIncidentRoutes(app)
  registerSessionRoutes(app)
  registerPages(app)
  registerJoinPages(app)
  registerPasswordPages(app)
  registerEmailPages(app)
  registerUserRoutes(app)
  registerPasswordResetRoutes(app)
  registerEmailChangeRoutes(app)
  registerSecondFactorRoutes(app)
  registerPasskeyRoutes(app)
  registerOrganizationRoutes(app)
  registerMemberRoutes(app)
  registerInvitationRoutes(app)
  registerTeamRoutes(app)
  registerGrantRoutes(app)
  registerAccessReviewRoutes(app)
  registerObjectRoutes(app)
  registerTokenRoutes(app)
  registerCheckpointWebhookRoutes(app)
  registerIdentityProviderRoutes(app)
  registerProviderPages(app)
  registerTrustPolicyRoutes(app)
  registerCiTokenRoutes(app)
  registerAuditRoutes(app)
  registerChangeRequestRoutes(app)
  registerAppRoutes(app)
  registerAppWebhookRoutes(app)
  registerCredentialRoutes(app)
  registerProvisioningProfileRoutes(app)
  registerAppleApiKeyRoutes(app)
  registerGoogleServiceAccountKeyRoutes(app)
  registerCredentialVersionRoutes(app)
  registerDeletionCertificateRoutes(app)
  registerBundleRoutes(app)
  registerChannelRoutes(app)
  registerDeploymentRoutes(app)
  registerRolloutRoutes(app)
  registerDeviceRoutes(app)
  registerPublicKeyRoutes(app)
  registerPlatformKeyRoutes(app)
  registerRootRoutes(app)
  registerPatchRoutes(app)
  registerUpdateRoutes(app)
  registerStaticRoutes(app)
  registerTelemetryRoutes(app)
  registerInsightRoutes(app)
  registerArtifactRoutes(app)
  registerBuildShareRoutes(app)
  registerBuildSourceRoutes(app)
  registerGitConnectionRoutes(app)
  registerRepositoryRoutes(app)
  registerEnvironmentRoutes(app)
  registerConfigurationRoutes(app)
  registerBuildRoutes(app)
  registerJobRoutes(app)
  registerWorkerRoutes(app)
}
