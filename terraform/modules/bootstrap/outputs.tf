output "backend" {
  description = "For the other roots' backend.hcl."
  value       = { bucket = module.state.id, region = local.region, use_lockfile = true }
}

output "topic_arn" {
  description = "For the other roots: alarms = { topic_arns = [...] }."
  value       = aws_sns_topic.alarms.arn
}

output "certificate_arn" {
  description = "For the other roots, once the certificate is issued; null without a domain."
  value       = try(aws_acm_certificate_validation.domain[0].certificate_arn, aws_acm_certificate.domain[0].arn, null)
}

output "validation" {
  description = "Records to make by hand where no zone was given."
  value       = var.zone_id != null || var.domain_name == null ? [] : [for o in aws_acm_certificate.domain[0].domain_validation_options : { name = o.resource_record_name, type = o.resource_record_type, value = o.resource_record_value }]
}
