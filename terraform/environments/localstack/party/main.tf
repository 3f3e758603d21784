variable "operator" {
  description = "Short name of the operator."
  type        = string
}

variable "index" {
  description = "The party's place in the federation: 0, 1 or 2."
  type        = number
}

variable "peer_cidrs" {
  description = "Taken for the sake of the same variables as on AWS; nothing here listens."
  type        = list(string)
  default     = []
}

variable "destroy_data" {
  description = "Lets `destroy` delete the bucket with everything in it."
  type        = bool
  default     = false
}

module "party" {
  source     = "../../../modules/party"
  operator   = var.operator
  index      = var.index
  peer_cidrs = var.peer_cidrs

  # LocalStack's free edition has no ECS, ECR, load balancers or AWS Backup: the party runs as a process.
  compute = "none"
  backup  = { enabled = false }

  destroy_data         = var.destroy_data
  secret_recovery_days = 0
}

output "bucket" {
  value = module.party.bucket
}

output "store_prefix" {
  value = module.party.store_prefix
}

output "kms_key_arn" {
  value = module.party.kms_key_arn
}

output "storage_kms_key_arn" {
  value = module.party.storage_kms_key_arn
}

output "secret_arns" {
  value = module.party.secret_arns
}

output "task_role_arn" {
  value = module.party.task_role_arn
}

output "config" {
  value = module.party.config
}

output "url" {
  value = module.party.url
}

output "peer_address" {
  value = module.party.peer_address
}

output "task_definition" {
  value = module.party.task_definition
}
