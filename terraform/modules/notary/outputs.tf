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
