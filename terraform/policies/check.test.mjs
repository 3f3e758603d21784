// The check finds what it is there to find: each test breaks the documents in one way and expects to be told.
// Run by `cargo xtask test` with DOCUMENTS = files that have just been checked, one a line.

import assert from 'node:assert/strict'
import test from 'node:test'

import { read } from './documents.mjs'
import { evaluate } from './evaluate.mjs'

const intact = read((process.env.DOCUMENTS ?? '').split('\n').filter(Boolean))
const copy = () => structuredClone(intact)
assert.ok(intact.buckets.length > 0, 'DOCUMENTS names no files')
const roleOf = (documents, ending) => documents.roles.find((role) => role.arn.endsWith(ending))
const allow = (Action, Resource, more = {}) => ({ Effect: 'Allow', Action, Resource, ...more })
const grant = (role, ...Statement) => role.policies.push({ name: 'more', policy: { Version: '2012-10-17', Statement } })

async function finds(documents, about, ...patterns) {
  const found = (await evaluate(documents, about)).failures
  for (const pattern of patterns) {
    assert.ok(found.some((text) => pattern.test(text)), `no finding matches ${pattern}:\n${found.join('\n')}`)
  }
}

test('a bucket without its TLS rule', async () => {
  const documents = copy()
  documents.buckets[0].policy.Statement.shift()
  await finds(documents, { buckets: documents.buckets.slice(0, 1) }, /-task .* can s3:GetObject .* plain HTTP/)
})

test('a bucket that lets another account in, whose role wants to', async () => {
  const documents = copy()
  const [own, other] = documents.buckets
  const role = documents.roles.find((r) => r.arn.includes(`:${other.account}:`) && r.arn.endsWith('-task'))
  own.policy.Statement = own.policy.Statement.filter((s) => s.Sid !== 'OnlyThePartyAndBackupsReadShares')
  own.policy.Statement.push(allow('s3:GetObject', `${own.arn}/*`, { Principal: { AWS: role.arn } }))
  grant(role, allow('s3:GetObject', `${own.arn}/*`))
  await finds(documents, { buckets: [own] }, new RegExp(`-task \\(${other.account}\\) can s3:GetObject`))
})

for (const [sid, finding] of [
  ['OnlyThePartyAndBackupsReadShares', /administrator of \d+ can s3:GetObject /],
  ['OnlyThePartyWritesAndDeletesShares', /administrator of \d+ can s3:DeleteObject .* nobody but the party/],
  ['NobodyDeletesForGood', /administrator of \d+ can s3:DeleteObjectVersion .* can be had back/],
  ['NothingIsOverwritten', /-task .* can s3:PutObject .* no object is overwritten/],
]) {
  test(`a bucket whose policy lacks ${sid}`, async () => {
    const documents = copy()
    const [bucket] = documents.buckets
    const had = bucket.policy.Statement.length
    bucket.policy.Statement = bucket.policy.Statement.filter((s) => s.Sid !== sid)
    assert.equal(bucket.policy.Statement.length, had - 1)
    await finds(documents, { buckets: [bucket] }, finding)
  })
}

test('a public bucket', async () => {
  const documents = copy()
  const bucket = documents.buckets[0]
  bucket.policy.Statement = [allow('s3:GetObject', `${bucket.arn}/*`, { Principal: '*' })]
  await finds(documents, { buckets: [bucket] }, /anybody can s3:GetObject/, /coordinator-api .* can s3:GetObject|-task .* plain HTTP/)
})

test('a key that the account may use', async () => {
  const documents = copy()
  const key = documents.keys.find((k) => k.description.includes('share store'))
  key.policy.Statement.push(allow('kms:*', '*', { Principal: { AWS: `arn:aws:iam::${key.arn.split(':')[4]}:root` } }))
  await finds(documents, { keys: [key] }, /administrator of \d+ can kms:Decrypt/)
})

test('a key that the coordinator may use', async () => {
  const documents = copy()
  const api = roleOf(documents, '-api')
  const key = documents.keys.find((k) => k.description.includes('share store'))
  key.policy.Statement.push(allow('kms:Decrypt', '*', { Principal: { AWS: api.arn } }))
  grant(api, allow('kms:Decrypt', key.arn))
  await finds(documents, { keys: [key] }, /-api .* can kms:Decrypt/)
})

test('a storage key that is used outside its services', async () => {
  const documents = copy()
  const key = documents.keys.find((k) => k.description.includes('at rest'))
  for (const statement of key.policy.Statement) if (statement.Principal.AWS?.endsWith(':root')) delete statement.Condition
  await finds(documents, { keys: [key] }, /can kms:Decrypt .* through its services only/)
})

test('a secret without its policy', async () => {
  const documents = copy()
  for (const secret of documents.secrets) delete secret.policy
  await finds(documents, { secrets: documents.secrets }, /administrator of \d+ can secretsmanager:GetSecretValue/)
})

test('a party that may write its own configuration', async () => {
  const documents = copy()
  const [bucket] = documents.buckets
  const role = documents.roles.find((r) => r.arn.includes(`:${bucket.account}:`) && r.arn.endsWith('-task'))
  grant(role, allow('s3:PutObject', '*'))
  await finds(documents, { buckets: [bucket] }, /can s3:PutObject .*deployment/)
})

test('a party that cannot work', async () => {
  const documents = copy()
  const role = roleOf(documents, '-task')
  role.policies = []
  const account = role.arn.split(':')[4]
  const buckets = documents.buckets.filter((bucket) => bucket.account === account)
  const secrets = documents.secrets.filter((secret) => secret.arn.includes(account))
  await finds(documents, { buckets, secrets }, /-task .* cannot s3:GetObject/, /-task .* cannot secretsmanager:GetSecretValue/)
})

test('a function that may read the whole registry', async () => {
  const documents = copy()
  grant(roleOf(documents, '-refresh'), allow('dynamodb:*', '*'))
  await finds(documents, { tables: documents.tables }, /-refresh .* can dynamodb:Scan/)
})

test('a function that may change the documents that it serves', async () => {
  const documents = copy()
  for (const { policy } of roleOf(documents, '-api').policies) policy.Statement = policy.Statement.filter((s) => s.Sid !== 'NotTheDocuments')
  await finds(documents, { tables: documents.tables }, /-api .* can dynamodb:PutItem .* documents/)
})

test('nothing to evaluate is a finding', async () => {
  const nothing = { roles: [], buckets: [], keys: [], secrets: [], tables: [] }
  await finds(nothing, nothing, /nothing to evaluate/)
})

test('a notary that may approve surveys itself, or read more than surveys', async () => {
  const documents = copy()
  const role = roleOf(documents, '-notary-task')
  const bucket = documents.buckets.find((b) => b.arn.includes('-notary-'))
  grant(role, allow(['s3:PutObject', 's3:GetObject'], `${bucket.arn}/*`))
  await finds(documents, { buckets: [bucket] }, /-notary-task .* can s3:PutObject .* approve surveys/, /can s3:GetObject .* nothing else/)
})

test('a notary that cannot list its surveys', async () => {
  const documents = copy()
  const role = roleOf(documents, '-notary-task')
  const statement = role.policies.flatMap((p) => p.policy.Statement).find((s) => s.Action === 's3:ListBucket')
  statement.Action = 's3:GetBucketLocation'
  const bucket = documents.buckets.find((b) => b.arn.includes('-notary-'))
  await finds(documents, { buckets: [bucket] }, /-notary-task .* cannot s3:ListBucket/)
})

test('a notary whose key at rest is opened outside Secrets Manager', async () => {
  const documents = copy()
  const role = roleOf(documents, '-notary-task')
  const key = documents.keys.find((k) => k.description?.includes('-notary: '))
  key.policy.Statement.push(allow('kms:Decrypt', '*', { Principal: { AWS: role.arn } }))
  await finds(documents, { keys: [key] }, /-notary-task .* can kms:Decrypt .* through its services only/)
})
