# The surveys that the operator approved, one assembled survey a file: public documents, read at start.
resource "aws_s3_bucket" "surveys" {
  #checkov:skip=CKV_AWS_145:Surveys are public documents, under S3's own key.
  #checkov:skip=CKV_AWS_144:Assembled surveys are public documents that others keep too.
  #checkov:skip=CKV_AWS_18:Access logs would need a second bucket, for public documents.
  #checkov:skip=CKV2_AWS_62:Nothing waits for events of this bucket.
  bucket        = local.bucket
  force_destroy = var.destroy_data
}

resource "aws_s3_bucket_ownership_controls" "surveys" {
  bucket = aws_s3_bucket.surveys.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "surveys" {
  bucket                  = aws_s3_bucket.surveys.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "surveys" {
  bucket = aws_s3_bucket.surveys.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "surveys" {
  bucket = aws_s3_bucket.surveys.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "surveys" {
  bucket = aws_s3_bucket.surveys.id
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
  depends_on = [aws_s3_bucket_versioning.surveys]
}

resource "aws_s3_bucket_policy" "surveys" {
  bucket = aws_s3_bucket.surveys.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.surveys.arn, "${aws_s3_bucket.surveys.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyTls12AndNewer"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.surveys.arn, "${aws_s3_bucket.surveys.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
    ]
  })
  depends_on = [aws_s3_bucket_public_access_block.surveys]
}

