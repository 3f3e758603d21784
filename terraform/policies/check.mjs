// Usage: node check.mjs FILE...
//
// Evaluates the policy documents in FILEs (what collect.py prints, `terraform show -json`, or `terraform test -json
// -verbose`), all operators' together. Ends with 1 if something is permitted that must not be, or the other way round.

import { read } from './documents.mjs'
import { evaluate } from './evaluate.mjs'

const paths = process.argv.slice(2)
if (paths.length === 0) {
  console.error('usage: node check.mjs FILE...')
  process.exit(2)
}
try {
  const { checks, failures } = await evaluate(read(paths))
  for (const failure of failures) console.error(failure)
  console.log(`${checks} requests evaluated, ${failures.length} decided otherwise than they must be`)
  process.exitCode = failures.length === 0 ? 0 : 1
} catch (error) {
  console.error(`error: ${error.message}`)
  process.exitCode = 2
}
