# A bucket as both party and notary keep one: nobody outside the account, TLS only, versions that end.

variable "name" {
  description = "The bucket's name."
  type        = string
}

variable "force_destroy" {
  description = "Lets `destroy` delete the bucket with what is in it."
  type        = bool
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted objects can be had back."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts objects unless their writer says otherwise; null: S3's own."
  type        = string
  default     = null
}

variable "denials" {
  description = "Further statements of the bucket's policy, each with sid, actions, prefix, and perhaps condition: what they name is denied to everybody."
  type        = any
  default     = []
}

variable "events" {
  description = "Whether EventBridge is told what happens to objects."
  type        = bool
  default     = false
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_145:A bucket without a key of its own holds public documents.
  #checkov:skip=CKV_AWS_144:A party's copies are kept by AWS Backup, also in another account if the operator names a vault there; others keep public documents too.
  #checkov:skip=CKV_AWS_18:Access logs would need a second bucket; the party's own audit log says what is read and released.
  #checkov:skip=CKV2_AWS_62:Whether somebody waits for events is the caller's decision.
  bucket        = var.name
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

# Versions of what was replaced or deleted end after noncurrent_days: that bounds how long the ciphertext of an erased row is kept here.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    id     = "replaced-and-deleted"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyTls12AndNewer"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
      ], [for denial in var.denials : { for key, value in {
        Sid       = denial.sid
        Effect    = "Deny"
        Principal = "*"
        Action    = denial.actions
        Resource  = "${aws_s3_bucket.this.arn}/${denial.prefix}*"
        Condition = try(denial.condition, null)
    } : key => value if value != null }])
  })
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_notification" "this" {
  count       = var.events ? 1 : 0
  bucket      = aws_s3_bucket.this.id
  eventbridge = true
}

output "id" {
  description = "The bucket's name."
  value       = aws_s3_bucket.this.id
  # Whoever writes objects does so after the rules are in force.
  depends_on = [aws_s3_bucket_policy.this, aws_s3_bucket_versioning.this, aws_s3_bucket_server_side_encryption_configuration.this]
}

output "arn" {
  description = "The bucket's ARN."
  value       = aws_s3_bucket.this.arn
}

output "settings" {
  description = "What is set of the bucket, for tests."
  value = {
    bucket        = aws_s3_bucket.this
    encryption    = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default)
    versioning    = one(aws_s3_bucket_versioning.this.versioning_configuration).status
    public_access = aws_s3_bucket_public_access_block.this
    ownership     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership
    policy        = jsondecode(aws_s3_bucket_policy.this.policy)
    lifecycle     = aws_s3_bucket_lifecycle_configuration.this.rule[0]
    events        = length(aws_s3_bucket_notification.this) == 1
  }
}
