// A device that dies: its disk kills the process at the given step, half of a write done. Prints how many steps there were.
import { writeFileSync } from 'node:fs'
import { createLiveUpdate, nodeDisk } from '@capstan/sdk/live-update/node'

const { options, dieAt } = JSON.parse(process.argv[2])
let steps = 0
const mortal =
  (name, call) =>
  async (...args) => {
    steps++
    if (steps === dieAt) {
      if (name === 'writeNewFile') writeFileSync(args[0], args[1].subarray(0, args[1].length >> 1))
      process.kill(process.pid, 'SIGKILL')
      await new Promise(() => setInterval(() => {}, 1000))
    }
    return call(...args)
  }
const changing = ['makeDirectory', 'writeNewFile', 'syncFile', 'rename', 'syncDirectory', 'remove']
const disk = Object.fromEntries(
  Object.entries(nodeDisk).map(([name, call]) => [name, changing.includes(name) ? mortal(name, call) : call]),
)

const updates = await createLiveUpdate({ ...options, world: { disk } })
await updates.ready((await updates.launch()).nonce)
await updates.sync()
await updates.ready((await updates.apply()).nonce)
console.log(steps)
