variable "name" {
  description = "Prefix of every name."
  type        = string
  default     = "tercet-coordinator"
}

variable "lambda_zip" {
  description = "Paths of the functions' zips: api, refresh, reap."
  type        = map(string)
}

variable "lambda_architecture" {
  description = "What the zips are built for: functions run as processes of this machine, so it must be this machine's."
  type        = string
  default     = "x86_64"
}

variable "documents" {
  description = "Folder with federation.json and surveys/*.json."
  type        = string
  default     = null
}

variable "settings" {
  description = "More environment variables of the functions."
  type        = map(string)
  default     = {}
}

variable "rest_api_id" {
  description = "Id of the REST API; part of its URL, which the federation has to know before the API exists."
  type        = string
  default     = "tercet"
}

module "coordinator" {
  source              = "../../../modules/coordinator"
  name                = var.name
  lambda_zip          = var.lambda_zip
  lambda_architecture = var.lambda_architecture
  settings            = var.settings
  documents           = var.documents

  # What LocalStack's free edition cannot do otherwise.
  entry         = "rest"
  rest_api_tags = { _custom_id_ = var.rest_api_id }

  # `destroy` leaves nothing.
  deletion_protection  = false
  secret_recovery_days = 0
}

output "url" {
  description = "Base URL of the API, by LocalStack's own path: the host names of AWS do not lead here."
  value       = "${var.localstack_endpoint}/_aws/execute-api/${module.coordinator.rest_api.id}/${module.coordinator.rest_api.stage}"
}

output "table_name" {
  value = module.coordinator.table_name
}

output "function_names" {
  value = module.coordinator.function_names
}

output "role_arns" {
  value = module.coordinator.role_arns
}

output "secret_arns" {
  value = module.coordinator.secret_arns
}

output "kms_key_arn" {
  value = module.coordinator.kms_key_arn
}
