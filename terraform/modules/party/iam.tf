# The party itself.
resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  description        = "The running party"
  assume_role_policy = local.task_trust
}

resource "aws_iam_role_policy" "task" {
  name = "party"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Shares"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${module.bucket.arn}/${local.store_prefix}*"
      },
      {
        Sid      = "PublicDocuments"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "${module.bucket.arn}/${local.deployment_prefix}*"
      },
      {
        Sid      = "Listing"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = module.bucket.arn
      },
      {
        Sid      = "DataKeys"
        Effect   = "Allow"
        Action   = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
        Resource = aws_kms_key.shares.arn
      },
      {
        Sid      = "AtRest"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.storage.arn
        Condition = { StringEquals = { "kms:ViaService" = [
          "s3.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com",
        ] } }
      },
      {
        Sid      = "OwnKeys"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = [for s in aws_secretsmanager_secret.key : s.arn]
      },
    ]
  })
}
