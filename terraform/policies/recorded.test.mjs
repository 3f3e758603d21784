// Recorded calls are asked of the policies with their real principals: what AWS would refuse is found, and what nobody needs.

import assert from 'node:assert/strict'
import test from 'node:test'

import { askRecorded } from './recorded.mjs'

const ACCOUNT = '100000000001'
const TASK = `arn:aws:iam::${ACCOUNT}:role/tercet-op0-p0-task`
const API = `arn:aws:iam::${ACCOUNT}:role/tercet-coordinator-api`
const BUCKET = 'arn:aws:s3:::shares'
const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/1`
const TABLE = `arn:aws:dynamodb:us-east-1:${ACCOUNT}:table/registry`
const SECRET = `arn:aws:secretsmanager:us-east-1:${ACCOUNT}:secret:keys/identity-AbCdEf`

const allow = (Action, Resource, more = {}) => ({ Effect: 'Allow', Action, Resource, ...more })
const document = (...Statement) => ({ Version: '2012-10-17', Statement })
const VIA = { StringEquals: { 'kms:ViaService': ['s3.us-east-1.amazonaws.com', 'dynamodb.us-east-1.amazonaws.com'] } }

function deployed() {
  return {
    roles: [
      { arn: TASK, policies: [{ name: 'party', policy: document(
        allow(['s3:GetObject', 's3:PutObject', 's3:DeleteObject'], `${BUCKET}/store/*`),
        allow(['kms:Decrypt', 'kms:GenerateDataKey'], KEY, { Condition: VIA }),
      ) }] },
      { arn: API, policies: [{ name: 'function', policy: document(
        allow(['dynamodb:PutItem', 'dynamodb:UpdateItem'], TABLE), allow('kms:Decrypt', KEY, { Condition: VIA }),
      ) }] },
    ],
    buckets: [{ arn: BUCKET, account: ACCOUNT, policy: document(
      { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `${BUCKET}/store/*`, Condition: { Null: { 's3:if-none-match': 'true' } } },
    ) }],
    keys: [{ arn: KEY, description: 'bucket and table at rest', policy: document(
      allow('kms:*', '*', { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` } }),
    ) }],
    secrets: [{ arn: SECRET, policy: document(
      { Effect: 'Deny', Principal: '*', Action: 'secretsmanager:GetSecretValue', Resource: '*', Condition: { ArnNotEquals: { 'aws:PrincipalArn': TASK } } },
    ) }],
    tables: [{ arn: TABLE }],
  }
}

const put = { account: ACCOUNT, app: 'party', service: 's3', operation: 'PutObject', request: { Bucket: 'shares', Key: 'store/log/1' }, headers: { 'if-none-match': '*' } }
const transact = {
  account: ACCOUNT, role: `arn:aws:sts::${ACCOUNT}:assumed-role/tercet-coordinator-api/x`, service: 'dynamodb', operation: 'TransactWriteItems',
  request: { TransactItems: [{ Put: { TableName: 'registry' } }, { Update: { TableName: 'registry' } }] },
}

test('what the programs do is permitted, with the keys that it uses', async () => {
  const { asked, refused, silent } = await askRecorded(deployed(), [put, transact])
  assert.deepEqual(refused, [])
  assert.deepEqual(silent, [])
  assert.equal(asked, 2 + 4, 'an object and its key; two items and the key for each')
})

test('a permission that is missing, on the resource or on its key', async () => {
  const documents = deployed()
  documents.roles[1].policies[0].policy.Statement[0].Action = ['dynamodb:PutItem']
  documents.roles[0].policies[0].policy.Statement.pop()
  documents.keys[0].policy = document()
  const { refused } = await askRecorded(documents, [put, transact])
  for (const pattern of [/api dynamodb:UpdateItem/, /task kms:GenerateDataKey/, /api kms:Decrypt/]) {
    assert.ok(refused.some((text) => pattern.test(text)), `${pattern}: ${refused}`)
  }
})

test('a write without the condition that the bucket demands', async () => {
  const { refused } = await askRecorded(deployed(), [{ ...put, headers: {} }])
  assert.ok(refused.some((text) => /task s3:PutObject/.test(text)), `${refused}`)
})

test('an operator’s command that the secret’s own policy refuses', async () => {
  const read = { account: ACCOUNT, app: 'operator', service: 'secretsmanager', operation: 'GetSecretValue', request: { SecretId: SECRET } }
  const { refused } = await askRecorded(deployed(), [read, { ...read, operation: 'PutSecretValue', request: { SecretId: 'keys/identity' } }])
  assert.equal(refused.length, 1, `${refused}`)
  assert.match(refused[0], /administrator.* secretsmanager:GetSecretValue/)
})

test('permissions that no call needs are listed', async () => {
  const { unused } = await askRecorded(deployed(), [put, transact])
  assert.deepEqual(unused.sort(), ['tercet-op0-p0-task kms:Decrypt', 'tercet-op0-p0-task s3:DeleteObject', 'tercet-op0-p0-task s3:GetObject'])
})

test('the test’s own looks are not asked', async () => {
  const look = { account: ACCOUNT, agent: 'Boto3/1.40', service: 's3', operation: 'GetObject', request: { Bucket: 'shares', Key: 'store/log/1' } }
  assert.equal((await askRecorded(deployed(), [look])).asked, 0)
})

test('an operator writes public documents under S3’s own key, and looks at them', async () => {
  const documents = deployed()
  documents.keys[0].policy = document()
  const write = { account: ACCOUNT, app: 'operator', service: 's3', operation: 'PutObject', request: { Bucket: 'shares', Key: 'deployment/a.json' }, headers: { 'x-amz-server-side-encryption': 'AES256' } }
  const look = { ...write, operation: 'HeadObject', headers: {} }
  assert.deepEqual((await askRecorded(documents, [write, look])).refused, [])
  const read = { ...look, operation: 'GetObject' }
  assert.equal((await askRecorded(documents, [read])).refused.length, 1, 'what lies under the account’s key needs the key')
})
