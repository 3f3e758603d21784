// What the policy documents permit, decided by an independent evaluator of IAM's rules. LocalStack stores policies
// without enforcing them and rendered ones are enforced by nobody: this is how isolation is shown without AWS.

import { anonymousPrincipal, runSimulation } from '@cloud-copilot/iam-simulate'

const ADMINISTRATOR = [
  { name: 'administrator', policy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } },
]

const accountOf = (arn) => arn.split(':')[4]
const regionOf = (arn) => arn.split(':')[3]
const nameOf = (arn) => arn.split(/[/:]/).at(-1)

/** An account's administrator: everything is allowed that no resource's own policy refuses. */
export const administratorOf = (account) => ({
  arn: `arn:aws:iam::${account}:role/administrator`,
  policies: ADMINISTRATOR,
  label: `administrator of ${account}`,
})

/**
 * The evaluator drops conditions on the parts of an encryption context, whose names are free. Tags of the principal, whose
 * names are free too, stand for them in policies and request alike.
 */
const knownKeys = (simulation) =>
  JSON.parse(JSON.stringify(simulation).replaceAll('kms:EncryptionContext:', 'aws:PrincipalTag/EncryptionContext-'))

/** Whether `who` may do `action` to `resource`; what the evaluator cannot decide is an error, never a "no". */
export async function permitted(who, action, resource, context = {}) {
  const { arn, policy, account } = resource
  const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
  const simulation = {
    request: {
      principal: who.anonymous ? anonymousPrincipal : who.arn,
      action,
      resource: { resource: arn, accountId: account },
      contextVariables: given({
        'aws:SecureTransport': 'true',
        ...(action.startsWith('s3:') ? { 's3:TlsVersion': '1.3' } : {}),
        // As the party writes: each object once.
        ...(action === 's3:PutObject' ? { 's3:if-none-match': '*' } : {}),
        ...(who.anonymous ? {} : { 'aws:PrincipalArn': who.arn, 'aws:PrincipalAccount': accountOf(who.arn) }),
        ...context,
      }),
    },
    identityPolicies: who.anonymous ? [] : who.policies,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: policy,
  }
  const response = await runSimulation(knownKeys(simulation), {})
  if (response.resultType === 'error') {
    throw new Error(`${who.label} ${action} ${arn}: ${JSON.stringify(response.errors)}`)
  }
  return response.overallResult === 'Allowed'
}

/**
 * Runs every check on the documents; returns { checks, failures: [text] }. `about`: the resources to look at, of the
 * documents' form; all of them by default.
 */
export async function evaluate(documents, about = documents) {
  const run = new Run(documents)
  await run.everything({ buckets: [], keys: [], secrets: [], tables: [], ...about })
  return { checks: run.checks, failures: run.failures }
}

class Run {
  checks = 0
  failures = []

  constructor(documents) {
    this.documents = documents
    this.roles = documents.roles.map((role) => ({ ...role, label: `${nameOf(role.arn)} (${accountOf(role.arn)})` }))
    const accounts = [...documents.buckets.map((b) => b.account), ...documents.tables.map((t) => accountOf(t.arn))]
    this.accounts = [...new Set(accounts)]
    // Beyond the deployed roles: an administrator of each account, of a stranger's, and nobody in particular.
    this.others = [...this.accounts, '999999999999'].map(administratorOf)
    this.nobody = { anonymous: true, label: 'anybody' }
  }

  async expect(wanted, who, action, resource, context, why) {
    this.checks += 1
    if ((await permitted(who, action, resource, context)) !== wanted) {
      this.failures.push(`${who.label} ${wanted ? 'cannot' : 'can'} ${action} on ${resource.arn}: ${why}`)
    }
  }

  async everything({ buckets, keys, secrets, tables }) {
    if (this.roles.length === 0 || this.accounts.length === 0) {
      this.failures.push('the documents hold no roles, or neither bucket nor table: nothing to evaluate')
    }
    for (const bucket of buckets) await this.bucket(bucket)
    for (const key of keys) await this.key(key)
    for (const secret of secrets) await this.secret(secret)
    for (const table of tables) await this.table(table)
  }

  /** The roles that may read what an account's party keeps, and everybody else. */
  split(account, endings) {
    const own = this.roles.filter((r) => accountOf(r.arn) === account && endings.some((e) => r.arn.endsWith(e)))
    const rest = [...this.roles.filter((r) => !own.includes(r)), ...this.others, this.nobody]
    return { own, rest }
  }

  /** The running notary of an account, if the account is a notary's. */
  notaryOf(account) {
    return this.roles.find((r) => accountOf(r.arn) === account && r.arn.endsWith('-notary-task'))
  }

  /** Everybody who is no role of this account. */
  strangersTo(account) {
    return [...this.roles, ...this.others, this.nobody].filter((w) => w.anonymous || accountOf(w.arn) !== account)
  }

  /** A notary's bucket: surveys, which are public documents, but nobody else's to put there. */
  async surveys(bucket, notary) {
    const survey = { ...bucket, arn: `${bucket.arn}/surveys/0.json` }
    const other = { ...bucket, arn: `${bucket.arn}/other` }
    await this.expect(true, notary, 's3:GetObject', survey, {}, 'the notary reads the approved surveys')
    await this.expect(true, notary, 's3:ListBucket', bucket, {}, 'the notary lists the approved surveys')
    await this.expect(false, notary, 's3:GetObject', other, {}, 'the notary reads surveys and nothing else')
    for (const action of ['s3:PutObject', 's3:DeleteObject']) {
      await this.expect(false, notary, action, survey, {}, 'the notary must not approve surveys itself')
    }
    await this.expect(false, notary, 's3:PutBucketPolicy', bucket, {}, 'the notary must not change who may write')
    for (const who of this.strangersTo(bucket.account)) {
      for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteObject']) {
        await this.expect(false, who, action, survey, {}, 'approval is the notary’s operator’s alone')
      }
    }
    const everybody = [...this.roles, ...this.others, this.nobody]
    for (const who of everybody) {
      for (const action of ['s3:GetObject', 's3:PutObject']) {
        await this.expect(false, who, action, survey, { 'aws:SecureTransport': 'false' }, 'plain HTTP is refused')
      }
      await this.expect(false, who, 's3:GetObject', survey, { 's3:TlsVersion': '1.1' }, 'TLS before 1.2 is refused')
    }
  }

  /** A notary's key for data at rest: its secret and its logs. */
  async notaryKey(resource, notary, via) {
    await this.expect(true, notary, 'kms:Decrypt', resource, via('secretsmanager'), 'the notary reads its key')
    for (const action of ['kms:Decrypt', 'kms:GenerateDataKey']) {
      for (const who of [notary, ...this.strangersTo(resource.account)]) {
        await this.expect(false, who, action, resource, {}, 'the key is used through its services only')
        await this.expect(false, who, action, resource, via('s3'), 'the key is for secret and logs')
      }
      for (const who of this.strangersTo(resource.account)) {
        await this.expect(false, who, action, resource, via('secretsmanager'), 'the key is its account’s alone')
      }
    }
    await this.expect(false, notary, 'kms:CreateGrant', resource, {}, 'a grant would hand the key on')
  }

  async bucket(bucket) {
    const notary = this.notaryOf(bucket.account)
    if (notary) return this.surveys(bucket, notary)
    const object = { ...bucket, arn: `${bucket.arn}/store/segments/0` }
    const { own, rest } = this.split(bucket.account, ['-task', '-backup'])
    const party = own.filter((r) => r.arn.endsWith('-task'))
    if (party.length !== 1) this.failures.push(`${bucket.arn}: expected one role of a running party in its account`)
    for (const who of party) {
      for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteObject']) {
        await this.expect(true, who, action, object, {}, 'the party works with its shares')
      }
      await this.expect(true, who, 's3:ListBucket', bucket, {}, 'the party lists its shares')
      const config = { ...bucket, arn: `${bucket.arn}/deployment/party.toml` }
      await this.expect(true, who, 's3:GetObject', config, {}, 'the party reads its configuration')
      await this.expect(false, who, 's3:PutObject', config, {}, 'the party must not change its own configuration')
      await this.expect(false, who, 's3:PutBucketPolicy', bucket, {}, 'the party must not change who may read')
    }
    for (const who of rest) {
      for (const action of ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject']) {
        await this.expect(false, who, action, object, {}, 'shares are the party’s alone')
      }
      if (who.anonymous || accountOf(who.arn) !== bucket.account) {
        await this.expect(false, who, 's3:ListBucket', bucket, {}, 'the bucket is the operator’s alone')
      }
    }
    for (const who of [...own, ...rest]) {
      if (!party.includes(who)) {
        await this.expect(false, who, 's3:DeleteObject', object, {}, 'nobody but the party deletes shares')
      }
      await this.expect(false, who, 's3:DeleteObjectVersion', object, {}, 'what was deleted can be had back')
      const over = { 's3:if-none-match': undefined }
      await this.expect(false, who, 's3:PutObject', object, over, 'no object is overwritten')
    }
    for (const who of [...own, ...rest]) {
      for (const [action, target] of [['s3:GetObject', object], ['s3:PutObject', object], ['s3:ListBucket', bucket]]) {
        const plain = { 'aws:SecureTransport': 'false' }
        await this.expect(false, who, action, target, plain, 'plain HTTP is refused')
      }
      const old = { 's3:TlsVersion': '1.1' }
      await this.expect(false, who, 's3:GetObject', object, old, 'TLS before 1.2 is refused')
    }
  }

  async key(key) {
    const resource = { ...key, account: accountOf(key.arn) }
    const via = (service) => ({ 'kms:ViaService': `${service}.${regionOf(key.arn)}.amazonaws.com` })
    const uses = ['kms:Decrypt', 'kms:GenerateDataKey']
    const notary = this.notaryOf(resource.account)
    if (notary) return this.notaryKey(resource, notary, via)
    if (key.description?.includes('share store')) {
      const { own, rest } = this.split(resource.account, ['-task'])
      for (const action of [...uses, 'kms:Encrypt']) {
        for (const who of own) await this.expect(true, who, action, resource, {}, 'the party opens its data keys')
        for (const who of rest) await this.expect(false, who, action, resource, {}, 'only the running party opens data keys')
      }
      for (const who of [...own, ...rest]) {
        await this.expect(false, who, 'kms:CreateGrant', resource, {}, 'a grant would hand the key on')
      }
    } else if (key.description?.includes('at rest')) {
      const { own } = this.split(resource.account, ['-task'])
      const { rest } = this.split(resource.account, ['-task', '-backup'])
      for (const action of uses) {
        for (const who of own) await this.expect(true, who, action, resource, via('s3'), 'the party uses its bucket')
        for (const who of rest) {
          await this.expect(false, who, action, resource, via('s3'), 'only the party opens the bucket’s objects')
          await this.expect(false, who, action, resource, {}, 'the key is used through its services only')
        }
      }
    } else {
      const strangers = [...this.roles, ...this.others, this.nobody]
      for (const who of strangers.filter((w) => w.anonymous || accountOf(w.arn) !== resource.account)) {
        for (const action of uses) await this.expect(false, who, action, resource, {}, 'the key is its account’s alone')
      }
    }
  }

  async secret(secret) {
    const resource = { ...secret, account: accountOf(secret.arn) }
    const { own, rest } = this.split(resource.account, ['-task', '-api', '-refresh', '-reap'])
    for (const who of own) {
      await this.expect(true, who, 'secretsmanager:GetSecretValue', resource, {}, 'the program reads its keys')
      await this.expect(false, who, 'secretsmanager:PutSecretValue', resource, {}, 'the program must not change its keys')
    }
    for (const who of rest) {
      await this.expect(false, who, 'secretsmanager:GetSecretValue', resource, {}, 'only the running program reads its keys')
    }
    // What the operator's own commands need: `store` looks which key a secret holds and puts one there, and reads none.
    for (const who of this.others.filter((o) => accountOf(o.arn) === resource.account)) {
      for (const action of ['DescribeSecret', 'PutSecretValue', 'UpdateSecretVersionStage']) {
        await this.expect(true, who, `secretsmanager:${action}`, resource, {}, 'the operator fills the secrets')
      }
    }
  }

  async table(table) {
    const resource = { ...table, account: accountOf(table.arn) }
    const functions = this.roles.filter((r) => accountOf(r.arn) === resource.account && /-(api|refresh|reap)$/.test(r.arn))
    if (functions.length !== 3) this.failures.push(`${table.arn}: expected the roles of three functions in its account`)
    for (const who of functions) {
      await this.expect(true, who, 'dynamodb:GetItem', resource, {}, 'every function reads the registry')
      for (const action of ['dynamodb:Scan', 'dynamodb:DeleteTable', 'dynamodb:ExportTableToPointInTime']) {
        await this.expect(false, who, action, resource, {}, 'no function reads the whole registry or deletes it')
      }
      const documents = { 'dynamodb:LeadingKeys': ['document'] }
      await this.expect(true, who, 'dynamodb:Query', resource, documents, 'every function reads the documents')
      for (const action of ['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem']) {
        await this.expect(false, who, action, resource, documents, 'no function changes the documents that it serves')
      }
    }
    const strangers = [...this.roles, ...this.others].filter((w) => accountOf(w.arn) !== resource.account)
    for (const who of strangers) {
      for (const action of ['dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:UpdateItem']) {
        await this.expect(false, who, action, resource, {}, 'the registry is the coordinator’s alone')
      }
    }
  }
}
