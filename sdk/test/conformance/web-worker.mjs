import { serveLiveUpdates } from '@capstan/sdk/live-update/web-worker'

// Every page load is a cold start here.
serveLiveUpdates(self, { appId: __APP_ID__, appVersionCode: '7', appVersionName: '1.2.3', trialMs: __TRIAL_MS__ })
