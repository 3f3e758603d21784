# The coordinator: admits submissions, hands queries to the parties. It never holds a share, and no statement below
# names a resource outside this module.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  url       = var.domain_name == null ? null : "https://${var.domain_name}"

  # One number decides all limits that have to fit together (coordinator-lambda/src/config/limits.rs).
  ratios                 = jsondecode(file("${path.module}/limits.json"))
  submissions_per_second = coalesce(var.submissions_per_second, local.ratios.submissions_per_second)
  gateway_rate           = ceil(local.submissions_per_second * local.ratios.gateway_requests_per_submission)
  concurrency_needed     = ceil(local.submissions_per_second * local.ratios.instance_milliseconds_per_submission / 1000)

  # Name and text of each document.
  documents = var.documents == null ? {} : {
    for name in setunion(fileset(var.documents, "federation.json"), fileset(var.documents, "surveys/*.json")) :
    name => file("${var.documents}/${name}")
  }

  # By name, as AWS makes it: emulators behind LocalStack give tables ARNs of no account.
  table_name = "${var.name}-registry"
  table_arn  = "arn:${local.partition}:dynamodb:${local.region}:${local.account}:table/${local.table_name}"

  # What each function does to the table (coordinator-lambda/README.md).
  table_actions = {
    api     = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query"]
    refresh = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
    reap    = ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query"]
  }
  functions = { for name, actions in local.table_actions : name => {
    full_name   = "${var.name}-${name}"
    actions     = actions
    memory      = var.function[name].memory
    timeout     = var.function[name].timeout
    concurrency = var.function[name].concurrency
  } }
  scheduled = { refresh = var.schedules.refresh, reap = var.schedules.reap }
}

# One key for what the coordinator keeps: table, secret, logs.
resource "aws_kms_key" "main" {
  description             = "${var.name}: table, secret and logs"
  enable_key_rotation     = true
  deletion_window_in_days = max(var.secret_recovery_days, 7)
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountDecidesByItsPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "LogsOfTheseFunctions"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/*/${var.name}*" } }
      },
    ]
  })
}

resource "aws_kms_alias" "main" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.main.key_id
}

# The registry (layout: coordinator-lambda/src/store/mod.rs).
resource "aws_dynamodb_table" "registry" {
  name                        = local.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.main.arn
  }

  # Destroyed in the other order: while the table is protected, the ticket key stays too.
  depends_on = [aws_secretsmanager_secret_policy.signing_key]
}

# The federation and the surveys, if the operator keeps them in a folder: the functions look for a change every half minute.
resource "aws_dynamodb_table_item" "document" {
  for_each   = local.documents
  table_name = aws_dynamodb_table.registry.name
  hash_key   = "pk"
  range_key  = "sk"
  item       = jsonencode({ pk = { S = "document" }, sk = { S = each.key }, text = { S = each.value } })
}

# Written after the documents: it is what the functions look at.
resource "aws_dynamodb_table_item" "documents_digest" {
  count      = length(local.documents) == 0 ? 0 : 1
  table_name = aws_dynamodb_table.registry.name
  hash_key   = "pk"
  range_key  = "sk"
  item       = jsonencode({ pk = { S = "document" }, sk = { S = "digest" }, text = { S = sha256(jsonencode(local.documents)) } })
  depends_on = [aws_dynamodb_table_item.document]
}

# Made empty; `tercet coordinator store` puts the ticket key's seed there, so that it is in no state file.
resource "aws_secretsmanager_secret" "signing_key" {
  #checkov:skip=CKV2_AWS_57:The key is pinned by the federation: it is rotated by agreement of the operators, not by a timer.
  name                    = "${var.name}/signing-key"
  description             = "Seed of the key that signs tickets"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_policy" "signing_key" {
  secret_arn          = aws_secretsmanager_secret.signing_key.arn
  block_public_policy = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTheFunctionsRead"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "secretsmanager:GetSecretValue"
      Resource  = "*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = [for role in aws_iam_role.function : role.arn] } }
    }]
  })
}
