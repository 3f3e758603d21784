locals {
  backup = var.backup.enabled ? 1 : 0
}

resource "aws_iam_role" "backup" {
  count = local.backup
  name  = "${local.name}-backup"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "backup.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# AWS's managed policies for S3 backup name every bucket; this names one.
resource "aws_iam_role_policy" "backup" {
  count = local.backup
  name  = "backup"
  role  = aws_iam_role.backup[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Bucket"
        Effect = "Allow"
        Action = [
          "s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketNotification", "s3:GetBucketTagging",
          "s3:GetBucketVersioning", "s3:GetInventoryConfiguration", "s3:ListBucket", "s3:ListBucketVersions",
          "s3:PutBucketNotification", "s3:PutInventoryConfiguration",
        ]
        Resource = aws_s3_bucket.store.arn
      },
      {
        Sid    = "Objects"
        Effect = "Allow"
        Action = [
          "s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionAcl",
          "s3:GetObjectVersionTagging",
        ]
        Resource = "${aws_s3_bucket.store.arn}/*"
      },
      {
        Sid       = "AtRest"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey"]
        Resource  = aws_kms_key.storage.arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        Sid      = "Changes"
        Effect   = "Allow"
        Action   = ["events:DeleteRule", "events:DescribeRule", "events:DisableRule", "events:EnableRule", "events:ListTargetsByRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets"]
        Resource = "arn:${local.partition}:events:${local.region}:${local.account}:rule/AwsBackupManagedRule*"
      },
      {
        Sid      = "Watching"
        Effect   = "Allow"
        Action   = ["cloudwatch:GetMetricData", "events:ListRules"]
        Resource = "*" # Neither has a resource to name.
      },
    ]
  })
}

# Under AWS Backup's own key: one of the party's would have to be granted to the service. What is copied is ciphertext
# under the key of the shares in any case.
resource "aws_backup_vault" "party" {
  #checkov:skip=CKV_AWS_166:See above.
  count         = local.backup
  name          = local.name
  force_destroy = var.destroy_data
}

resource "aws_backup_plan" "party" {
  count = local.backup
  name  = local.name
  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.party[0].name
    schedule          = "cron(0 3 * * ? *)"
    lifecycle {
      delete_after = var.backup.days
    }
  }
}

resource "aws_backup_selection" "party" {
  count        = local.backup
  name         = "store"
  plan_id      = aws_backup_plan.party[0].id
  iam_role_arn = aws_iam_role.backup[0].arn
  resources    = [aws_s3_bucket.store.arn]
}
