output "bucket" {
  description = "The party's bucket."
  value       = module.bucket.id
}

output "kms_key_arn" {
  description = "Key that wraps the data keys of the share store."
  value       = aws_kms_key.shares.arn
}

output "storage_kms_key_arn" {
  description = "Key that encrypts bucket, secrets and logs at rest."
  value       = aws_kms_key.storage.arn
}

output "secret_arns" {
  description = "Secrets to fill with `tercet operator store`, by key."
  value       = { for name, s in aws_secretsmanager_secret.key : name => s.arn }
}

output "task_role_arn" {
  description = "Role of the running party."
  value       = aws_iam_role.task.arn
}

output "url" {
  description = "Base URL of the party's API, for its manifest; null without compute."
  value       = local.fargate == 1 ? "https://${var.domain_name}" : null
}

output "peer_address" {
  description = "Address of the peer link, for the manifest; null without compute."
  value       = local.fargate == 1 ? "${var.domain_name}:${local.ports.peer}" : null
}

output "egress_cidrs" {
  description = "Where the party's own connections come from: the other operators' peer_cidrs."
  value       = flatten(module.service[*].egress_cidrs)
}

output "task_definition" {
  description = "The task definition that runs; null without compute."
  value       = one(module.service[*].task_definition.arn)
}

output "repository_url" {
  description = "Where to push the image; null without compute."
  value       = one(module.service[*].repository.repository_url)
}

output "domain_target" {
  description = "Where the domain's record must point when zone_id is not given; null without compute."
  value       = one(module.service[*].balancer.dns_name)
}

output "container_definitions" {
  description = "What the task runs, as JSON; null without compute."
  value       = one(module.service[*].task_definition.container_definitions)
}

output "account" {
  description = "The operator's AWS account, for the manifest."
  value       = local.account
}

output "config" {
  description = "The party's configuration file, as it lies in the bucket."
  value       = local.config
}

output "store_prefix" {
  description = "Where the share store lies in the bucket."
  value       = local.store_prefix
}
