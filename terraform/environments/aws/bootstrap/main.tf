# Applied once in an operator's account, before the other roots. Its own state stays in this folder: keep a copy, though everything
# in it can be imported again.

variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
}

variable "emails" {
  description = "Addresses that alarms are sent to."
  type        = list(string)
  default     = []
}

variable "watchers" {
  description = "Accounts of the other operators, which may subscribe to the alarms."
  type        = list(string)
  default     = []
}

variable "domain_name" {
  description = "Domain that gets a certificate; null: none is made."
  type        = string
  default     = null
}

variable "zone_id" {
  description = "Route 53 zone of the domain."
  type        = string
  default     = null
}

variable "state_bucket" {
  description = "Name of the bucket for Terraform's state; null: made of operator and account."
  type        = string
  default     = null
}

module "bootstrap" {
  source       = "../../../modules/bootstrap"
  operator     = var.operator
  emails       = var.emails
  watchers     = var.watchers
  domain_name  = var.domain_name
  zone_id      = var.zone_id
  state_bucket = var.state_bucket
}

output "backend" {
  description = "For the other roots' backend.hcl."
  value       = module.bootstrap.backend
}

output "topic_arn" {
  description = "For the other roots: alarms = { topic_arns = [...] }."
  value       = module.bootstrap.topic_arn
}

output "certificate_arn" {
  description = "For the other roots, once the certificate is issued."
  value       = module.bootstrap.certificate_arn
}

output "validation" {
  description = "Records to make by hand where no zone was given."
  value       = module.bootstrap.validation
}
