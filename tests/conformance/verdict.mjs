// What a run means: outcomes by the suite's own rule, compared with the file of expected results and with what each
// profile promises.

/** The suite's symbols (lib/display.mjs, last column of its table) in words. */
const words = {
  '✅': 'pass',
  '⛔️': 'fail',
  '⚠️': 'optional-fail',
  Y: 'yes',
  N: 'no',
  '🔹': 'setup', // a step that leads up to the question already went another way
  '⁉️': 'harness',
  '⚪️': 'dependency', // a test that this one builds upon did not pass
  '↻': 'retry', // the cache sent the origin one request twice
  '-': 'untested'
}

/** The tests that a shared cache can take, in the order of the suite: `[{ id, name, kind, text }]`. */
export function selectTests (suites) {
  return suites.flatMap(suite => suite.tests)
    .filter(test => test.browser_only !== true)
    .map(test => ({ id: test.id, name: test.name, kind: test.kind ?? 'required' }))
}

/** Maps each id to its outcome; `determine` is the suite's `determineTestResult`. */
export function outcomes (suites, results, determine) {
  return Object.fromEntries(selectTests(suites).map(({ id }) => {
    const symbol = determine(suites, id, results)[2]
    if (!(symbol in words)) throw new Error(`${id}: the suite gave an unknown result ${symbol}`)
    return [id, words[symbol]]
  }))
}

/** Where an outcome stands between good and bad. */
function rank (outcome) {
  if (outcome === 'pass') return 2
  return outcome === 'setup' || outcome === 'dependency' ? 1 : 0
}

/**
 * What is different from the expected results: `[{ id, expected, found, verdict }]`, the verdict being `worse`,
 * `better`, `changed` (no better and no worse, or an id on one side only), or `noted`: what a "check" test finds is
 * no promise, and a few of them depend on how fast a loaded machine answers.
 */
export function differences (tests, expected, found) {
  const kinds = new Map(tests.map(test => [test.id, test.kind]))
  const ids = new Set([...Object.keys(expected), ...Object.keys(found)])
  return [...ids].filter(id => expected[id] !== found[id]).map(id => {
    const verdict = !(id in expected) || !(id in found) ? 'changed'
      : kinds.get(id) === 'check' ? 'noted'
        : compare(expected[id], found[id])
    return { id, expected: expected[id] ?? 'nothing', found: found[id] ?? 'nothing', verdict }
  })
}

function compare (expected, found) {
  const change = rank(found) - rank(expected)
  return change === 0 ? 'changed' : change < 0 ? 'worse' : 'better'
}

/**
 * Breaches of the promise of a profile: every test of the kinds in `promise.kinds` passes, unless the file of
 * exclusions names it. What it names must be true, too: an exclusion that passes is to be removed, a `setup` or
 * `dependency` that has another outcome is wrong.
 */
export function breaches (promise, tests, found) {
  const excused = new Map([
    ...promise.exclusions.map(({ id }) => [id, null]),
    ...promise.not_applicable.flatMap(({ ids, outcome }) => ids.map(id => [id, outcome]))
  ])
  const faults = []
  if (promise.exclusions.length > promise.most_exclusions) {
    faults.push(`${promise.exclusions.length} exclusions, at most ${promise.most_exclusions} are allowed`)
  }
  for (const id of excused.keys()) {
    if (!tests.some(test => test.id === id)) faults.push(`${id}: excused, but there is no such test`)
  }
  for (const { id, kind } of tests) {
    if (!promise.kinds.includes(kind)) continue
    const outcome = found[id]
    const excuse = excused.get(id)
    if (outcome === 'pass') {
      if (excuse !== undefined) faults.push(`${id}: excused, but it passes: remove it from exclusions.json`)
    } else if (excuse === undefined) {
      faults.push(`${id}: ${kind}, but ${outcome}`)
    } else if (excuse !== null && outcome !== excuse) {
      faults.push(`${id}: excused as ${excuse}, but ${outcome}`)
    }
  }
  return faults
}

/** `{ required: [passed, total], ... }` */
export function tally (tests, found) {
  const sums = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
  for (const { id, kind } of tests) {
    sums[kind][1] += 1
    if (found[id] === 'pass' || found[id] === 'yes') sums[kind][0] += 1
  }
  return sums
}
