module "bucket" {
  source          = "../bucket"
  name            = local.bucket
  force_destroy   = var.destroy_data
  noncurrent_days = var.noncurrent_days
  kms_key_arn     = aws_kms_key.storage.arn
  events          = length(local.watched) > 0
  # Whatever the account's other policies allow.
  denials = [
    {
      # Shares are read by the party and by backups.
      sid       = "OnlyThePartyAndBackupsReadShares"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      prefix    = local.store_prefix
      condition = { ArnNotEquals = { "aws:PrincipalArn" = concat([aws_iam_role.task.arn], aws_iam_role.backup[*].arn) } }
    },
    {
      sid       = "OnlyThePartyWritesAndDeletesShares"
      actions   = ["s3:PutObject", "s3:DeleteObject"]
      prefix    = local.store_prefix
      condition = { ArnNotEquals = { "aws:PrincipalArn" = aws_iam_role.task.arn } }
    },
    {
      # What was deleted can be had back for noncurrent_days, whoever deleted it: nobody removes an old version before.
      sid     = "NobodyDeletesForGood"
      actions = ["s3:DeleteObjectVersion"]
      prefix  = local.store_prefix
    },
    {
      # The party makes each object once (`If-None-Match: *`), so nobody has a reason to overwrite one.
      # docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
      sid       = "NothingIsOverwritten"
      actions   = ["s3:PutObject"]
      prefix    = local.store_prefix
      condition = { Null = { "s3:if-none-match" = "true" } }
    },
  ]

  # Destroyed in the other order: when the bucket cannot go because it holds data, its keys and the party's secrets stay
  # too. A secret that is being deleted blocks its name for a month.
  depends_on = [aws_kms_key.shares, aws_kms_key.storage, aws_secretsmanager_secret_policy.key]
}

# Public documents lie beside the store, under S3's own key: the operator writes them, and may not use the others.
resource "aws_s3_object" "config" {
  #checkov:skip=CKV_AWS_186:The configuration is public: names and addresses, no secret.
  bucket                 = module.bucket.id
  key                    = "${local.deployment_prefix}party.toml"
  content                = local.config
  content_type           = "application/toml"
  server_side_encryption = "AES256"
}

# The federation, and the surveys with their approvals, if the operator keeps them in a folder.
resource "aws_s3_object" "document" {
  #checkov:skip=CKV_AWS_186:The documents are public.
  for_each               = local.documents
  bucket                 = module.bucket.id
  key                    = "${local.deployment_prefix}${each.key}"
  source                 = "${var.documents}/${each.key}"
  source_hash            = each.value
  content_type           = "application/json"
  server_side_encryption = "AES256"
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
    bucket = "${module.bucket.id}"
    prefix = "${local.store_prefix}"
    region = "${local.region}"
    ${local.fargate == 0 ? "" : "\n[cloudwatch]\nnamespace = \"${local.metrics}\"\nparty = \"${local.name}\"\n"}
  TOML
}
