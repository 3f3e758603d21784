output "url" {
  description = "Base URL of the notary, for providers; null without compute."
  value       = local.fargate == 1 ? "https://${var.domain_name}" : null
}

output "secret_arn" {
  description = "Secret to fill with the key's seed (docs/notary.md)."
  value       = aws_secretsmanager_secret.key.arn
}

output "surveys" {
  description = "Where approved surveys go: aws s3 cp SURVEY.json …"
  value       = "s3://${module.bucket.id}/${local.surveys_prefix}"
}

output "bucket" {
  description = "The bucket of the surveys."
  value       = module.bucket.id
}

output "task_role_arn" {
  description = "Role of the running notary."
  value       = aws_iam_role.task.arn
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
