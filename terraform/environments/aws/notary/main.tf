# Beside these there are the variables of program.tf.

variable "coordinator_keys" {
  description = "Keys that the coordinator signs tickets with."
  type        = list(string)
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

variable "task" {
  description = "Size of the task, see the module."
  type        = object({ cpu = optional(number, 256), memory = optional(number, 512), architecture = optional(string, "X86_64") })
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

  fixed_egress         = var.fixed_egress
  started              = var.started
  restart              = var.restart
  task                 = var.task
  bucket_name          = var.bucket_name
  vpc_cidr             = var.vpc_cidr
  noncurrent_days      = var.noncurrent_days
  log_retention_days   = var.log_retention_days
  secret_recovery_days = var.secret_recovery_days
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
