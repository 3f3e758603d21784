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
      local.operators_fill_secrets,
      local.own_logs,
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
  policy              = local.only_the_task_reads
}
