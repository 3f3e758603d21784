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
        Resource = module.bucket.arn
      },
      {
        Sid    = "Objects"
        Effect = "Allow"
        Action = [
          "s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionAcl",
          "s3:GetObjectVersionTagging",
        ]
        Resource = "${module.bucket.arn}/*"
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
        Action   = ["cloudwatch:GetMetricData", "events:ListRules", "s3:ListAllMyBuckets", "tag:GetResources"]
        Resource = "*" # None of them has a resource to name.
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

# Nobody can shorten or delete a copy before its time, in governance mode but for those who may change the lock itself.
resource "aws_backup_vault_lock_configuration" "party" {
  count              = var.backup.locked && !var.destroy_data ? local.backup : 0
  backup_vault_name  = aws_backup_vault.party[0].name
  min_retention_days = min(var.backup.days, 35)
}

resource "aws_backup_plan" "party" {
  count = local.backup
  name  = local.name
  # Continuous: any second of the last days can be restored. AWS Backup keeps such copies of S3 for at most 35 days.
  rule {
    rule_name                = "continuous"
    target_vault_name        = aws_backup_vault.party[0].name
    schedule                 = "cron(0 3 * * ? *)"
    enable_continuous_backup = true
    lifecycle {
      delete_after = min(var.backup.days, 35)
    }
    # A second place that the party's own account cannot empty.
    dynamic "copy_action" {
      for_each = var.backup.copy_to == null ? [] : [var.backup.copy_to]
      content {
        destination_vault_arn = copy_action.value
        lifecycle {
          delete_after = var.backup.days
        }
      }
    }
  }
}

resource "aws_backup_selection" "party" {
  count        = local.backup
  name         = "store"
  plan_id      = aws_backup_plan.party[0].id
  iam_role_arn = aws_iam_role.backup[0].arn
  resources    = [module.bucket.arn]
}
