export const proxyPort = 3_128
const proxy = `http://127.0.0.1:${proxyPort}`
const local = 'localhost,127.0.0.1,::1'

/** npm, pnpm, yarn 1, bun, git and curl read the first six; Yarn 2 and later has names of its own. */
export const proxyEnvironment: Readonly<Record<string, string>> = {
  HTTP_PROXY: proxy,
  HTTPS_PROXY: proxy,
  NO_PROXY: local,
  http_proxy: proxy,
  https_proxy: proxy,
  no_proxy: local,
  YARN_HTTP_PROXY: proxy,
  YARN_HTTPS_PROXY: proxy,
}

const javaHosts = 'localhost|127.0.0.1|[::1]'
const gradleProperties = ['http', 'https'].flatMap((scheme) => [
  `systemProp.${scheme}.proxyHost=127.0.0.1`,
  `systemProp.${scheme}.proxyPort=${proxyPort}`,
  `systemProp.${scheme}.nonProxyHosts=${javaHosts}`,
])
const mavenProxies = ['http', 'https'].map(
  (scheme) =>
    `<proxy><id>${scheme}</id><active>true</active><protocol>${scheme}</protocol><host>127.0.0.1</host><port>${proxyPort}</port><nonProxyHosts>${javaHosts}</nonProxyHosts></proxy>`,
)

/** Gradle and Maven read files in the home folder, which is the build's own and new. */
export const proxyFilesScript = `
mkdir -p /work/home/.gradle /work/home/.m2
cat > /work/home/.gradle/gradle.properties <<'END'
${gradleProperties.join('\n')}
END
cat > /work/home/.m2/settings.xml <<'END'
<settings><proxies>${mavenProxies.join('')}</proxies></settings>
END
`
