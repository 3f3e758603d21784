locals {
  # Looking after a key without being able to use it. No grants: a grant would hand the use on.
  key_administration = [
    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
    "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus",
    "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy",
    "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
  ]
  administration = {
    Sid       = "TheAccountLooksAfterTheKeyButCannotUseIt"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action    = local.key_administration
    Resource  = "*"
  }
}

# Encrypts the secret and the logs at rest.
resource "aws_kms_key" "storage" {
  description             = "${local.name}: secret and logs at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.administration,
      {
        Sid       = "TheNotaryThroughSecretsManager"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_role.task.arn }
        Action    = ["kms:Decrypt"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      },
      {
        # Who may write secrets is the account's decision; who may read them is the secrets' own policy.
        Sid       = "OperatorsFillTheSecret"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = {
          StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" }
          StringLike   = { "kms:EncryptionContext:SecretARN" = "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${local.name}/*" }
        }
      },
      {
        Sid       = "LogsOfThisNotary"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/tercet/${local.name}*" } }
      },
    ]
  })
}

resource "aws_kms_alias" "storage" {
  name          = "alias/${local.name}-storage"
  target_key_id = aws_kms_key.storage.key_id
}

# Made empty; the operator puts the seed there (docs/notary.md), so that it is in no state file.
resource "aws_secretsmanager_secret" "key" {
  #checkov:skip=CKV2_AWS_57:The key is pinned by surveys: it is renewed with an overlap that surveys state, not by a timer.
  name                    = "${local.name}/key"
  description             = "Seed of the key that signs statements about sessions"
  kms_key_id              = aws_kms_key.storage.arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_policy" "key" {
  secret_arn          = aws_secretsmanager_secret.key.arn
  block_public_policy = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTheNotaryReads"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "secretsmanager:GetSecretValue"
      Resource  = "*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = aws_iam_role.task.arn } }
    }]
  })
}
