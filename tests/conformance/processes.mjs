// Starts and stops the two programs that a run needs: the suite's origin server and the cache before it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))

/** How long a program may take to listen, and how long it may take to end once told to, in milliseconds. */
const patience = 10_000

/**
 * Starts the origin server of the suite in `suite` on a free port. `scratch` gets its pid file and its log.
 * Resolves to `{ url, stop }`.
 */
export async function startOrigin (suite, scratch) {
  const log = path.join(scratch, 'origin.log')
  const child = start(process.execPath, ['--require', path.join(here, 'loopback.cjs'), 'server/server.mjs'], log, {
    cwd: suite,
    env: {
      ...process.env,
      npm_config_protocol: 'http',
      npm_config_port: '0', // any free one; it prints which
      npm_config_pidfile: path.join(scratch, 'origin.pid')
    }
  })
  const announced = /Listening on (http:\/\/127\.0\.0\.1:\d+)\//
  const url = await until(child, log, () => announced.exec(fs.readFileSync(log, 'utf8'))?.[1])
  return { url, stop: () => stop(child) }
}

/**
 * Starts `binary` with the configuration file `config` in front of `origin`. Resolves to `{ url, stop }` once it
 * accepts connections.
 */
export async function startLarder (binary, config, origin, scratch) {
  const port = await freePort()
  const log = path.join(scratch, 'larder.log')
  const child = start(binary, ['serve', '--config', config, '--listen', `127.0.0.1:${port}`, '--origin', origin], log)
  await until(child, log, () => accepts(port))
  return { url: `http://127.0.0.1:${port}`, stop: () => stop(child) }
}

/** A child whose output goes to the file `log`. It ends with this process, however this process ends. */
function start (command, args, log, options = {}) {
  const output = fs.openSync(log, 'w')
  const child = spawn(command, args, { ...options, stdio: ['ignore', output, output] })
  fs.closeSync(output)
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.removeListener('exit', kill))
  child.once('error', error => { child.failure = error })
  return child
}

async function stop (child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const deadline = sleep(patience, 'late', { ref: false })
  if (await Promise.race([gone, deadline]) === 'late') child.kill('SIGKILL')
  await gone
}

/** Asks `ready` until it answers something; fails when the child has ended or patience has. */
async function until (child, log, ready) {
  for (let waited = 0; waited < patience; waited += 50) {
    const answer = await ready()
    if (answer) return answer
    if (child.failure) throw child.failure
    if (child.exitCode !== null || child.signalCode !== null) break
    await sleep(50)
  }
  await stop(child)
  throw new Error(`${child.spawnargs.join(' ')}\ndid not start to listen. It said:\n${fs.readFileSync(log, 'utf8')}`)
}

function accepts (port) {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => { socket.destroy(); resolve(true) })
    socket.once('error', () => resolve(false))
  })
}

async function freePort () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
