variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
}

variable "coordinator_keys" {
  description = "Keys that the coordinator signs tickets with."
  type        = list(string)
}

variable "destroy_data" {
  description = "Lets `destroy` delete the bucket with the surveys in it. Apply it first, then destroy."
  type        = bool
  default     = false
}

variable "image" {
  description = "The notary's image, by digest."
  type        = string
}

variable "domain_name" {
  description = "The notary's domain."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate of the domain, in the same region."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of the domain; null: you make the record."
  type        = string
  default     = null
}

variable "resolvers" {
  description = "DNS servers, at least two of different operators."
  type        = list(string)
  default     = ["1.1.1.1:53", "9.9.9.9:53"]
}

variable "sessions" {
  description = "Bounds of sessions, see the module."
  type        = object({ at_a_time = optional(number, 256), by_address = optional(number, 4), seconds = optional(number, 60) })
  default     = {}
}

variable "alarm_topic_arns" {
  description = "Where alarms go (SNS topics)."
  type        = list(string)
  default     = []
}

module "notary" {
  source           = "../../../modules/notary"
  operator         = var.operator
  image            = var.image
  domain_name      = var.domain_name
  certificate_arn  = var.certificate_arn
  zone_id          = var.zone_id
  coordinator_keys = var.coordinator_keys
  resolvers        = var.resolvers
  sessions         = var.sessions
  alarm_topic_arns = var.alarm_topic_arns
  destroy_data     = var.destroy_data
}

output "url" {
  value = module.notary.url
}

output "secret_arn" {
  value = module.notary.secret_arn
}

output "surveys" {
  value = module.notary.surveys
}

output "repository_url" {
  value = module.notary.repository_url
}

output "domain_target" {
  value = module.notary.domain_target
}

output "task_role_arn" {
  value = module.notary.task_role_arn
}

output "task_definition" {
  value = module.notary.task_definition
}
