// Runs the public HTTP cache conformance suite (npm http-cache-tests) through Larder and judges the outcome.
//
//   node run.mjs --suite DIR --larder BINARY --profile default|full [--bless] [--explain]
//
// `--suite` is a folder with `node_modules/http-cache-tests`; scripts/conformance makes one and calls this.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

import { startLarder, startOrigin } from './processes.mjs'
import { breaches, differences, outcomes, selectTests, tally } from './verdict.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))

const help = `usage: node run.mjs --suite DIR --profile default|full (--larder BINARY | --direct)

  --suite DIR       where node_modules/http-cache-tests is
  --larder BINARY   the program to test
  --profile NAME    profiles/NAME.toml, expected.NAME.json and the promise of that name in exclusions.json
  --direct          no cache at all, and nothing judged: shows what the suite says of that
  --bless           write what was found into expected.NAME.json
  --explain         print what the suite says to each test that did not pass
`

/** A request that has had no answer for this long has none. The origin's own longest pause is 5 s. */
const timeout = 20_000

/** Tests under way at once. More of them, and a loaded machine takes longer to answer than some lifetimes last. */
const atOnce = 80

const { values: options } = parseArgs({
  options: {
    suite: { type: 'string' },
    larder: { type: 'string' },
    profile: { type: 'string', default: 'default' },
    direct: { type: 'boolean', default: false },
    bless: { type: 'boolean', default: false },
    explain: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false }
  }
})

if (options.help || !options.suite || !(options.larder || options.direct)) {
  process.stdout.write(help)
  process.exit(options.help ? 0 : 2)
}

const began = Date.now()
const modules = path.join(path.resolve(options.suite), 'node_modules')
const suite = path.join(modules, 'http-cache-tests')
const { default: suites } = await load(suite, 'tests/index.mjs')
const { determineTestResult } = await load(suite, 'lib/display.mjs')
const tests = selectTests(suites)
const results = await run()
const found = outcomes(suites, results, determineTestResult)
report()
process.exitCode = options.direct ? 0 : judge()

function load (folder, file) {
  return import(pathToFileURL(path.join(folder, file)))
}

/** Runs every test and resolves to the raw results of the suite. */
async function run () {
  const { runTests, getResults } = await load(suite, 'client/runner.mjs')
  const { default: fetch } = await load(modules, 'node-fetch/lib/index.js')
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-conformance-'))
  const running = []
  try {
    const origin = await startOrigin(suite, scratch)
    running.unshift(origin)
    let base = origin.url
    if (!options.direct) {
      const config = path.join(here, 'profiles', `${options.profile}.toml`)
      const larder = await startLarder(path.resolve(options.larder), config, origin.url, scratch)
      running.unshift(larder)
      base = larder.url
    }
    await runTests(suites, (url, init) => fetch(url, { timeout, ...init }), false, base, atOnce)
    return getResults()
  } finally {
    for (const program of running) await program.stop()
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}

function report () {
  const sums = tally(tests, found)
  const line = Object.entries(sums).map(([kind, [passed, total]]) => `${kind} ${passed}/${total}`).join(', ')
  const seconds = ((Date.now() - began) / 1000).toFixed(1)
  const subject = options.direct ? 'no cache' : `profile ${options.profile}`
  console.log(`conformance, ${subject}: ${line} (${seconds} s)`)
  if (!options.explain) return
  for (const { id, name, kind } of tests) {
    if (found[id] === 'pass' || kind === 'check') continue
    console.log(`\n  ${id} (${kind}): ${found[id]}\n    ${name}\n    ${results[id]?.[1] ?? 'passes, but what it builds upon does not'}`)
  }
}

/** Compares with what is expected and promised; says what is wrong. Returns the exit code. */
function judge () {
  const promise = readJson('exclusions.json')[options.profile]
  const expectedFile = `expected.${options.profile}.json`
  for (const { id, section, reason } of promise.exclusions) console.log(`  excluded: ${id} (${section}): ${reason}`)
  for (const { ids, outcome, section } of promise.not_applicable) {
    console.log(`  ${outcome}: ${ids.join(', ')} (${section})`)
  }
  const broken = breaches(promise, tests, found)
  for (const fault of broken) console.log(`  BROKEN PROMISE ${fault}${because(fault.split(':')[0])}`)
  if (options.bless) {
    fs.writeFileSync(path.join(here, expectedFile), `${JSON.stringify(found, null, 2)}\n`)
    console.log(`  wrote ${expectedFile}`)
    return broken.length === 0 ? 0 : 1
  }
  if (!fs.existsSync(path.join(here, expectedFile))) {
    console.log(`  There is no ${expectedFile} yet: scripts/conformance --bless writes it.`)
    return 1
  }
  const changes = differences(tests, readJson(expectedFile), found)
  for (const { id, expected, found: now, verdict } of changes) {
    console.log(`  ${verdict.toUpperCase()} ${id}: expected ${expected}, found ${now}${because(id)}`)
  }
  const failing = changes.filter(change => change.verdict !== 'noted')
  if (failing.length > 0) {
    const regress = failing.some(change => change.verdict === 'worse')
    console.log(regress
      ? '  Some tests got worse. That is a regression, not a reason to change the file.'
      : `  No test got worse: update the file ${expectedFile} (scripts/conformance --bless).`)
  }
  return broken.length + failing.length === 0 ? 0 : 1
}

function because (id) {
  const result = results[id]
  return Array.isArray(result) ? ` (${String(result[1]).replace(/\s+/g, ' ').slice(0, 160)})` : ''
}

function readJson (file) {
  return JSON.parse(fs.readFileSync(path.join(here, file), 'utf8'))
}
