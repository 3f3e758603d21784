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

module "notary" {
  source           = "../../../modules/notary"
  operator         = var.operator
  coordinator_keys = var.coordinator_keys

  # LocalStack's free edition has no ECS, ECR or load balancers: the notary runs as a process.
  compute = "none"

  destroy_data         = var.destroy_data
  secret_recovery_days = 0
}

output "secret_arn" {
  value = module.notary.secret_arn
}

output "surveys" {
  value = module.notary.surveys
}

output "bucket" {
  value = module.notary.bucket
}

output "task_role_arn" {
  value = module.notary.task_role_arn
}
