export function measureSizes(): Promise<
  { bench: string; entry: string; coreGzipBytes: number; totalGzipBytes: number }[]
>
