// Usage: node asked.mjs POLICIES.json RECORDS.jsonl
//
// Asks the deployed policies about every recorded call. Ends with 1 if AWS would refuse one, or if a program that must have
// been at work made none; lists the permissions that no call needed.

import { read } from './documents.mjs'
import { askRecorded, readRecords } from './recorded.mjs'

const [policies, records] = process.argv.slice(2)
if (!records) {
  console.error('usage: node asked.mjs POLICIES.json RECORDS.jsonl')
  process.exit(2)
}
try {
  const documents = read([policies])
  const { asked, kinds, refused, unused, silent } = await askRecorded(documents, readRecords(records))
  for (const text of refused) console.error(`AWS would refuse: ${text}`)
  // LocalStack runs no schedule: what refresh and reap may do is listed as not tried.
  const working = silent.filter((arn) => /-(task|api)$/.test(arn))
  for (const arn of silent.filter((arn) => !working.includes(arn))) console.log(`not tried, no call was recorded: ${arn}`)
  for (const arn of working) console.error(`no call was recorded of ${arn}: its permissions were not tried`)
  for (const text of unused) console.log(`no call needed: ${text}`)
  console.log(`${asked} recorded requests of ${kinds} kinds, ${refused.length} of which AWS would refuse`)
  process.exitCode = refused.length === 0 && working.length === 0 ? 0 : 1
} catch (error) {
  console.error(`error: ${error.message}`)
  process.exitCode = 2
}
