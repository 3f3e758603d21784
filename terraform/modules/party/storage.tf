resource "aws_s3_bucket" "store" {
  #checkov:skip=CKV_AWS_144:Copies are kept by AWS Backup (variable backup), also in another account if the operator names a vault there.
  #checkov:skip=CKV_AWS_18:Access logs would need a second bucket; the party's own audit log says what is read and released.
  #checkov:skip=CKV2_AWS_62:Nothing waits for events of this bucket.
  bucket        = local.bucket
  force_destroy = var.destroy_data

  # Destroyed in the other order: when the bucket cannot go because it holds data, its keys and the party's secrets stay
  # too. A secret that is being deleted blocks its name for a month.
  depends_on = [aws_kms_key.shares, aws_kms_key.storage, aws_secretsmanager_secret_policy.key]
}

resource "aws_s3_bucket_ownership_controls" "store" {
  bucket = aws_s3_bucket.store.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "store" {
  bucket = aws_s3_bucket.store.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.storage.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "store" {
  bucket = aws_s3_bucket.store.id
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
  depends_on = [aws_s3_bucket_versioning.store]
}

resource "aws_s3_bucket_policy" "store" {
  bucket = aws_s3_bucket.store.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.store.arn, "${aws_s3_bucket.store.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyTls12AndNewer"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.store.arn, "${aws_s3_bucket.store.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
      {
        # Whatever the account's other policies allow: shares are read and written by the party (and read by backups).
        Sid       = "OnlyThePartyTouchesShares"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
        Resource  = "${aws_s3_bucket.store.arn}/${local.store_prefix}*"
        Condition = { ArnNotEquals = { "aws:PrincipalArn" = concat([aws_iam_role.task.arn], aws_iam_role.backup[*].arn) } }
      },
    ]
  })
  depends_on = [aws_s3_bucket_public_access_block.store]
}

# Public documents lie beside the store, under S3's own key: the operator writes them, and may not use the others.
resource "aws_s3_object" "config" {
  #checkov:skip=CKV_AWS_186:The configuration is public: names and addresses, no secret.
  bucket                 = aws_s3_bucket.store.id
  key                    = "${local.deployment_prefix}party.toml"
  content                = local.config
  content_type           = "application/toml"
  server_side_encryption = "AES256"
  depends_on             = [aws_s3_bucket_policy.store, aws_s3_bucket_versioning.store]
}

# The federation, and the surveys with their approvals, if the operator keeps them in a folder.
resource "aws_s3_object" "document" {
  #checkov:skip=CKV_AWS_186:The documents are public.
  for_each               = local.documents
  bucket                 = aws_s3_bucket.store.id
  key                    = "${local.deployment_prefix}${each.key}"
  source                 = "${var.documents}/${each.key}"
  source_hash            = each.value
  content_type           = "application/json"
  server_side_encryption = "AES256"
  depends_on             = [aws_s3_bucket_policy.store, aws_s3_bucket_versioning.store]
}

locals {
  # Name and SHA-256 of each document.
  documents = var.documents == null ? {} : {
    for name in setunion(fileset(var.documents, "federation.json"), fileset(var.documents, "surveys/*.{json,approval}")) :
    name => filesha256("${var.documents}/${name}")
  }

  config = <<-TOML
    # Written by Terraform.
    listen = "0.0.0.0:8080"
    peer_listen = "0.0.0.0:7443"
    federation = "federation.json"
    surveys = "surveys"
    engine = "/usr/share/tercet/party_wasm.wasm"

    [keys]
    identity = "${aws_secretsmanager_secret.key["identity"].arn}"
    sealing = "${aws_secretsmanager_secret.key["sealing"].arn}"
    peer = "${aws_secretsmanager_secret.key["peer"].arn}"
    ${var.sealing_rotation ? "sealing_previous = \"${aws_secretsmanager_secret.key["sealing_previous"].arn}\"" : "# no rotation of the sealing key is under way"}
    store = "${aws_kms_key.shares.arn}"

    [store]
    bucket = "${aws_s3_bucket.store.id}"
    prefix = "${local.store_prefix}"
    region = "${local.region}"
    ${local.fargate == 0 ? "" : "\n[cloudwatch]\nnamespace = \"${local.metrics}\"\nparty = \"${local.name}\"\n"}
  TOML
}
