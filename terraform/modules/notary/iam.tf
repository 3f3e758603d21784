# The notary itself.
resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  description        = "The running notary"
  assume_role_policy = local.task_trust
}

resource "aws_iam_role_policy" "task" {
  name = "notary"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ApprovedSurveys"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "${module.bucket.arn}/${local.surveys_prefix}*"
      },
      {
        Sid      = "Listing"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = module.bucket.arn
      },
      {
        Sid       = "AtRest"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = aws_kms_key.storage.arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      },
      {
        Sid      = "OwnKey"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.key.arn
      },
    ]
  })
}
