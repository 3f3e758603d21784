# One party: its share store and keys, and what runs it. No statement below names another operator's resource.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  name      = "tercet-${var.operator}-p${var.index}"
  bucket    = coalesce(var.bucket_name, "${local.name}-${local.account}")
  root      = "arn:${local.partition}:iam::${local.account}:root"
  fargate   = var.compute == "fargate" ? 1 : 0

  # The log that ECS writes for Container Insights, with a retention and a key because it is made here first.
  insights_log = "/aws/ecs/containerinsights/${local.name}/performance"

  # What belongs to the share store, and what is public and read at start.
  store_prefix      = "store/"
  deployment_prefix = "deployment/"

  # The operator's keys (docs/operators.md).
  secrets = {
    identity = "Seed of the key that signs receipts, log entries, results and the manifest"
    sealing  = "Seed of the key that providers seal private parts to"
    peer     = "Seed of the peer link's TLS key"
    # Empty but for the time of a rotation.
    sealing_previous = "Seed of the sealing key before, while it is being rotated"
  }
}
