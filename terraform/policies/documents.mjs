// Reads policy documents from where they are: what collect.py fetched from the deployed services, a Terraform state
// (`terraform show -json`), or the states that `terraform test -json -verbose` prints.
//
// The form that everything becomes:
//   roles:   [{ arn, policies: [{ name, policy }] }]      what a role may do
//   buckets: [{ arn, account, policy }]                   who may do what to a bucket
//   keys:    [{ arn, description, policy }]
//   secrets: [{ arn, policy }]
//   tables:  [{ arn }]

import { readFileSync } from 'node:fs'

const KINDS = ['roles', 'buckets', 'keys', 'secrets', 'tables']

/** Reads files of any of the three kinds and joins what they hold. */
export function read(paths) {
  const all = Object.fromEntries(KINDS.map((kind) => [kind, []]))
  for (const path of paths) {
    for (const documents of parse(readFileSync(path, 'utf8'), path)) {
      for (const kind of KINDS) all[kind].push(...(documents[kind] ?? []))
    }
  }
  return all
}

function parse(text, path) {
  let whole
  try {
    whole = JSON.parse(text)
  } catch {
    // One JSON object a line. Only lines that hold a state are worth parsing.
    const lines = text.split('\n').filter((line) => line.includes('"test_state"'))
    if (lines.length === 0) throw new Error(`${path}: neither JSON nor the output of terraform test -json -verbose`)
    return lines.map((line) => fromModule(JSON.parse(line).test_state.root_module))
  }
  if (whole.values?.root_module) return [fromModule(whole.values.root_module)]
  if (KINDS.some((kind) => Array.isArray(whole[kind]))) return [whole]
  throw new Error(`${path}: has no roles, buckets, keys, secrets or tables`)
}

function* resourcesOf(module) {
  yield* module.resources ?? []
  for (const child of module.child_modules ?? []) yield* resourcesOf(child)
}

function fromModule(module) {
  const of = (type) => [...resourcesOf(module)].filter((r) => r.mode === 'managed' && r.type === type).map((r) => r.values)
  const identity = [...resourcesOf(module)].find((r) => r.type === 'aws_caller_identity')
  const document = (policy) => (policy ? JSON.parse(policy) : undefined)
  const rolePolicies = of('aws_iam_role_policy')
  const bucketPolicies = of('aws_s3_bucket_policy')
  const secretPolicies = of('aws_secretsmanager_secret_policy')
  // Mocked secrets of one module share an ARN; one document speaks for them all.
  const secrets = new Map(of('aws_secretsmanager_secret').map((s) => [s.arn, s]))
  return {
    roles: of('aws_iam_role').map((role) => ({
      arn: role.arn,
      policies: rolePolicies
        .filter((p) => p.role === role.id || p.role === role.name)
        .map((p) => ({ name: p.name, policy: document(p.policy) })),
    })),
    buckets: of('aws_s3_bucket').map((bucket) => ({
      arn: bucket.arn,
      account: identity?.values.account_id,
      policy: document(bucketPolicies.find((p) => p.bucket === bucket.id)?.policy),
    })),
    keys: of('aws_kms_key').map((k) => ({ arn: k.arn, description: k.description, policy: document(k.policy) })),
    secrets: [...secrets.keys()].map((arn) => ({
      arn,
      policy: document(secretPolicies.find((p) => p.secret_arn === arn)?.policy),
    })),
    tables: of('aws_dynamodb_table').map((table) => ({ arn: table.arn })),
  }
}
