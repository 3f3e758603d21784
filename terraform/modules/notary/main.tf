# One notary: its key, the surveys that its operator approved, and what runs it. No statement below names another
# operator's resource. It is run by none of the three parties' operators.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  name      = "tercet-${var.operator}-notary"
  bucket    = coalesce(var.bucket_name, "${local.name}-${local.account}")
  root      = "arn:${local.partition}:iam::${local.account}:root"
  fargate   = var.compute == "fargate" ? 1 : 0

  surveys_prefix = "surveys/"
}
