import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { findFreePort } from './choose-ports.js'

test('a port that was found is claimed before anything listens there, and free for the server that it is for', async () => {
  const port = await findFreePort()
  const other = createSocket('udp4').bind(port, '127.0.0.1')
  await expect(once(other, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' })
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
})
