// Asks the deployed policies about every call that was recorded on an emulator, which enforces none of them: a call that
// AWS would refuse is found here, and so is a permission that no call needed.
//
// A record is one line of JSON, as localstack/executor writes it:
//   { account, role, app, agent, service, operation, request, headers }
// role: the assumed role's ARN, for functions. app: what the program calls itself (AWS_SDK_UA_APP_ID). request: the call's
// parameters without their data.

import { readFileSync } from 'node:fs'

import { administratorOf, permitted } from './evaluate.mjs'

/** Reads records, one a line. */
export function readRecords(path) {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
}

const accountOf = (arn) => arn.split(':')[4]
const regionOf = (arn) => arn.split(':')[3]

// Where an action's name is not the call's (Service Authorization Reference, "Actions, resources, and condition keys").
const S3_ACTIONS = {
  HeadObject: 'GetObject', HeadBucket: 'ListBucket', ListObjects: 'ListBucket', ListObjectsV2: 'ListBucket',
  ListObjectVersions: 'ListBucketVersions', DeleteObjects: 'DeleteObject',
  GetBucketEncryption: 'GetEncryptionConfiguration', PutBucketEncryption: 'PutEncryptionConfiguration',
  DeleteBucketEncryption: 'PutEncryptionConfiguration',
  GetBucketLifecycleConfiguration: 'GetLifecycleConfiguration', PutBucketLifecycleConfiguration: 'PutLifecycleConfiguration',
  DeleteBucketLifecycle: 'PutLifecycleConfiguration',
  GetBucketAccelerateConfiguration: 'GetAccelerateConfiguration', GetBucketReplication: 'GetReplicationConfiguration',
  GetPublicAccessBlock: 'GetBucketPublicAccessBlock', PutPublicAccessBlock: 'PutBucketPublicAccessBlock',
  DeletePublicAccessBlock: 'PutBucketPublicAccessBlock', GetObjectLockConfiguration: 'GetBucketObjectLockConfiguration',
  PutObjectLockConfiguration: 'PutBucketObjectLockConfiguration',
  GetBucketCors: 'GetBucketCORS', DeleteBucketOwnershipControls: 'PutBucketOwnershipControls',
  DeleteBucketTagging: 'PutBucketTagging', GetBucketNotificationConfiguration: 'GetBucketNotification',
  PutBucketNotificationConfiguration: 'PutBucketNotification',
}
const TRANSACTION_ACTIONS = { Put: 'PutItem', Update: 'UpdateItem', Delete: 'DeleteItem', ConditionCheck: 'ConditionCheckItem' }
// Needs no permission.
const FREE = new Set(['sts:GetCallerIdentity'])

/**
 * The requests that a record amounts to: { action, arn, context }. A call to S3, Secrets Manager or DynamoDB uses the key
 * under which the resource is encrypted as well, through that service.
 */
function requestsOf(record, documents) {
  const { service, operation, request = {}, headers = {} } = record
  switch (service) {
    case 's3': {
      if (!request.Bucket) return []
      const bucket = documents.buckets.find((b) => b.arn === `arn:aws:s3:::${request.Bucket}`)
      if (!bucket) return []
      const action = `s3:${S3_ACTIONS[operation] ?? operation}`
      // What the call did not say must not be taken for said.
      const context = { 's3:if-none-match': undefined }
      for (const name of ['if-none-match', 'if-match', 'x-amz-server-side-encryption', 'x-amz-server-side-encryption-aws-kms-key-id']) {
        if (headers[name] !== undefined) context[`s3:${name}`] = headers[name]
      }
      if (request.Prefix !== undefined && action === 's3:ListBucket') context['s3:prefix'] = request.Prefix
      const objects = operation === 'DeleteObjects' ? (request.Delete?.Objects ?? []).map((o) => o.Key) : [request.Key]
      const own = objects.map((key) => ({ action, arn: key === undefined ? bucket.arn : `${bucket.arn}/${key}`, context, resource: bucket }))
      // A look at an object's head opens nothing, and S3's own key is nobody's to grant.
      const ownKey = headers['x-amz-server-side-encryption'] === 'AES256'
      const uses = ownKey ? undefined : { GetObject: 'kms:Decrypt', PutObject: 'kms:GenerateDataKey' }[operation]
      return [...own, ...(uses ? through('s3', uses, bucket.account, documents, {}) : [])]
    }
    case 'kms': {
      const name = request.KeyId ?? request.TargetKeyId
      const key = documents.keys.find((k) => k.arn === name || k.arn.endsWith(`:key/${name}`))
      if (!key) return []
      const context = {}
      for (const [field, value] of Object.entries(request.EncryptionContext ?? {})) context[`kms:EncryptionContext:${field}`] = value
      return [{ action: `kms:${operation}`, arn: key.arn, context, resource: key }]
    }
    case 'secretsmanager': {
      const secret = documents.secrets.find((s) => s.arn === request.SecretId || s.arn.includes(`:secret:${request.SecretId}-`))
      if (!secret) return []
      const account = accountOf(secret.arn)
      const context = { 'kms:EncryptionContext:SecretARN': secret.arn }
      const uses = { GetSecretValue: ['kms:Decrypt'], PutSecretValue: ['kms:GenerateDataKey', 'kms:Decrypt'] }[operation] ?? []
      return [
        { action: `secretsmanager:${operation}`, arn: secret.arn, context: {}, resource: secret },
        ...uses.flatMap((use) => through('secretsmanager', use, account, documents, context)),
      ]
    }
    case 'dynamodb': {
      const table = (name) => documents.tables.find((t) => t.arn === name || t.arn.endsWith(`:table/${name}`))
      const parts = (request.TransactItems ?? []).flatMap((item) =>
        Object.entries(item).map(([kind, part]) => [TRANSACTION_ACTIONS[kind], part.TableName]),
      )
      const named = operation === 'TransactWriteItems' ? parts : [[operation, request.TableName]]
      return named.flatMap(([action, name]) => {
        const found = name && table(name)
        if (!found) return []
        const items = /Item|Query|Scan/.test(action)
        return [
          { action: `dynamodb:${action}`, arn: found.arn, context: {}, resource: found },
          ...(items ? through('dynamodb', 'kms:Decrypt', accountOf(found.arn), documents, {}) : []),
        ]
      })
    }
    default:
      return [{ action: `${service}:${operation}`, arn: '*', context: {}, resource: { arn: '*' } }]
  }
}

/** The use of an account's key for data at rest, through a service. A notary's bucket is under S3's own key. */
function through(service, action, account, documents, context) {
  const kept = service === 's3' ? /bucket.* at rest/ : /at rest|table, secret and logs/
  const key = documents.keys.find((k) => accountOf(k.arn) === account && kept.test(k.description ?? ''))
  if (!key) return []
  const via = { 'kms:ViaService': `${service}.${regionOf(key.arn)}.amazonaws.com`, ...context }
  return [{ action, arn: key.arn, context: via, resource: key }]
}

/** Who made a call: a deployed role, the operator, or nobody whose powers are in question (the checks of the test itself). */
function callerOf(record, documents) {
  const role = (fits) => documents.roles.find((r) => accountOf(r.arn) === record.account && fits(r.arn))
  if (record.role) {
    const name = record.role.split('/').at(record.role.includes(':assumed-role/') ? -2 : -1)
    const found = role((arn) => arn.endsWith(`/${name}`))
    return found && { ...found, label: name }
  }
  if (record.app === 'party' || record.app === 'notary') {
    const found = role((arn) => arn.endsWith('-task'))
    return found && { ...found, label: found.arn.split('/').at(-1) }
  }
  if (record.app === 'operator' || /Terraform/i.test(record.agent ?? '')) return administratorOf(record.account)
  return undefined
}

/** For each object of one kind the policies say the same: the first two parts of its key stand for it. */
const kindOf = (arn) => arn.split('/').slice(0, 3).join('/')

/** Asks; returns { asked, kinds, refused, unused, silent }. */
export async function askRecorded(documents, records) {
  const answers = new Map()
  const refused = new Set()
  const used = new Map(documents.roles.map((role) => [role.arn, new Set()]))
  let asked = 0
  for (const record of records) {
    const who = callerOf(record, documents)
    if (!who) continue
    for (const { action, arn, context, resource } of requestsOf(record, documents)) {
      const administrator = !used.has(who.arn)
      // An operator's own powers are all there are; what limits them is on the resources below.
      if (FREE.has(action) || (administrator && arn === '*')) continue
      asked += 1
      const name = `${who.arn} ${action} ${kindOf(arn)} ${JSON.stringify(context)}`
      if (!answers.has(name)) {
        const about = { ...resource, arn, account: resource.account ?? (accountOf(arn) || record.account) }
        answers.set(name, await permitted(who, action, about, context))
      }
      if (!answers.get(name)) refused.add(`${who.label} ${action} on ${arn} ${JSON.stringify(context)}`)
      used.get(who.arn)?.add(action.toLowerCase())
    }
  }
  const unused = []
  const silent = []
  for (const role of documents.roles) {
    const did = used.get(role.arn)
    if (did.size === 0) {
      silent.push(role.arn)
      continue
    }
    for (const action of allowedTo(role)) {
      const pattern = new RegExp(`^${action.toLowerCase().replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
      if (![...did].some((a) => pattern.test(a))) unused.push(`${role.arn.split('/').at(-1)} ${action}`)
    }
  }
  return { asked, kinds: answers.size, refused: [...refused], unused: [...new Set(unused)], silent }
}

function allowedTo(role) {
  const statements = role.policies.flatMap(({ policy }) => [policy.Statement].flat())
  return [...new Set(statements.filter((s) => s.Effect === 'Allow').flatMap((s) => [s.Action ?? []].flat()))]
}
