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

output "doctor" {
  description = "What `tercet operator doctor` compares AWS with: terraform output -json doctor > deployment.json."
  value = {
    account         = local.account
    region          = local.region
    bucket          = module.bucket.id
    bucket_policy   = jsonencode(module.bucket.settings.policy)
    storage_key     = aws_kms_key.storage.arn
    noncurrent_days = var.noncurrent_days
    keys            = [for key in [aws_kms_key.shares, aws_kms_key.storage] : { arn = key.arn, policy = key.policy }]
    secrets         = { for name, secret in aws_secretsmanager_secret.key : name => secret.arn }
    secret_policy   = local.only_the_task_reads
    alarms          = concat([for alarm in values(module.log.alarms) : alarm.alarm_name], flatten([for s in module.service : [for alarm in values(s.alarms) : alarm.alarm_name]]))
    rules           = concat([for rule in values(aws_cloudwatch_event_rule.guard) : rule.name], flatten(module.service[*].rules))
    topics          = var.alarms.topic_arns
    vault           = one([for vault in aws_backup_vault.party : { name = vault.name, locked = length(aws_backup_vault_lock_configuration.party) == 1 }])
    service = one([for s in module.service : {
      cluster     = local.name
      name        = s.service.name
      started     = var.started
      image       = var.image
      certificate = var.certificate_arn
      domain      = var.domain_name
    }])
  }
}
