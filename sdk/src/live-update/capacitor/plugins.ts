/** `Filesystem` of `@capacitor/filesystem`, as far as it is used. */
export interface FilesystemPlugin {
  mkdir(options: { path: string; directory: never; recursive: boolean }): Promise<void>
  writeFile(options: { path: string; directory: never; data: string }): Promise<unknown>
  /** The content as base64 when no encoding is asked for. */
  readFile(options: { path: string; directory: never }): Promise<{ data: unknown }>
  readdir(options: { path: string; directory: never }): Promise<{ files: { name: string; type: string }[] }>
  rename(options: { from: string; to: string; directory: never; toDirectory: never }): Promise<void>
  rmdir(options: { path: string; directory: never; recursive: boolean }): Promise<void>
  getUri(options: { path: string; directory: never }): Promise<{ uri: string }>
}

/** `Preferences` of `@capacitor/preferences`, as far as it is used. */
export interface PreferencesPlugin {
  get(options: { key: string }): Promise<{ value: string | null }>
  set(options: { key: string; value: string }): Promise<void>
}

/** `WebView` of `@capacitor/core`, as far as it is used. */
export interface WebViewPlugin {
  getServerBasePath(): Promise<{ path: string }>
  setServerBasePath(options: { path: string }): Promise<void>
}
