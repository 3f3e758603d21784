# Wraps the data keys of the share store. Only the party's role can use it, and administrators cannot. An administrator who
# changes this policy, or who starts another program under the party's role, could still read shares: guard.tf raises an
# alarm for each of those calls.
resource "aws_kms_key" "shares" {
  description             = "${local.name}: data keys of the share store"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.administration,
      {
        Sid       = "ThePartyWrapsAndOpensDataKeys"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_role.task.arn }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
        Resource  = "*"
      },
    ]
  })
}

resource "aws_kms_alias" "shares" {
  name          = "alias/${local.name}-shares"
  target_key_id = aws_kms_key.shares.key_id
}

# Encrypts at rest: the bucket a second time, the secrets, the logs.
resource "aws_kms_key" "storage" {
  description             = "${local.name}: bucket, secrets and logs at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      local.administration,
      {
        Sid       = "ThePartyThroughS3AndSecretsManager"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_role.task.arn }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:ViaService" = [
          "s3.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com",
        ] } }
      },
      local.operators_fill_secrets,
      local.own_logs,
      ], var.backup.enabled ? [
      {
        # Copies hold the share store as it lies in the bucket: ciphertext under the other key.
        Sid       = "BackupThroughS3"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_role.backup[0].arn }
        Action    = ["kms:Decrypt", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
    ] : [])
  })
}

resource "aws_kms_alias" "storage" {
  name          = "alias/${local.name}-storage"
  target_key_id = aws_kms_key.storage.key_id
}

# Made empty; `tercet operator store` puts the seeds there, so that they are in no state file.
resource "aws_secretsmanager_secret" "key" {
  #checkov:skip=CKV2_AWS_57:The keys are pinned by surveys and manifests: they are rotated by agreement of the operators, not by a timer.
  for_each                = local.secrets
  name                    = "${local.name}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.storage.arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_policy" "key" {
  for_each            = local.secrets
  secret_arn          = aws_secretsmanager_secret.key[each.key].arn
  block_public_policy = true
  policy              = local.only_the_task_reads
}
