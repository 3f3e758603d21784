# The party itself.
resource "aws_iam_role" "task" {
  name        = "${local.name}-task"
  description = "The running party"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      # Not for another account's task that ECS could be talked into starting.
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })
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
        Resource = "${aws_s3_bucket.store.arn}/${local.store_prefix}*"
      },
      {
        Sid      = "PublicDocuments"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "${aws_s3_bucket.store.arn}/${local.deployment_prefix}*"
      },
      {
        Sid      = "Listing"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.store.arn
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

# What starts the containers: images and the log.
resource "aws_iam_role" "execution" {
  count       = local.fargate
  name        = "${local.name}-start"
  description = "Fetches the party's images and opens its log"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  count = local.fargate
  name  = "start"
  role  = aws_iam_role.execution[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Registry"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*" # It has no resource to name.
      },
      {
        Sid      = "OwnImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = aws_ecr_repository.party[0].arn
      },
      {
        Sid      = "OwnLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.party.arn}:*"
      },
    ]
  })
}
