variable "lambda_zip" {
  description = "Paths of the functions' zips: api, refresh, reap (`cargo xtask package`; one zip serves all three)."
  type        = map(string)
}

variable "lambda_architecture" {
  description = "Processor that the zips are built for."
  type        = string
  default     = "arm64"
}

variable "domain_name" {
  description = "Domain of the API; null: API Gateway's own address."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "ACM certificate of the domain, in the same region."
  type        = string
  default     = null
}

variable "zone_id" {
  description = "Route 53 zone of the domain; null: you make the record."
  type        = string
  default     = null
}

variable "entry" {
  description = "http, rest (with a firewall, if wanted) or function_url."
  type        = string
  default     = "http"
}

variable "waf" {
  description = "The firewall's settings, see the module."
  type        = object({ enabled = optional(bool, false), requests_per_address = optional(number, 3000) })
  default     = {}
}

variable "settings" {
  description = "Environment variables of the functions (coordinator-lambda/README.md)."
  type        = map(string)
  default     = {}
}

variable "tracing" {
  description = "X-Ray traces."
  type        = bool
  default     = false
}

variable "alarms" {
  description = "Where alarms go, and how many refusals are one."
  type        = object({ topic_arns = optional(list(string), []), refusals = optional(number, 500) })
  default     = {}
}

variable "documents" {
  description = "Folder with federation.json and surveys/*.json; null: none yet. A changed document is taken within a minute."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Off only before a `destroy` that is meant."
  type        = bool
  default     = true
}

variable "name" {
  description = "Prefix of every name in this deployment."
  type        = string
  default     = "tercet-coordinator"
}

variable "function" {
  description = "Memory, time limit and reserved concurrency of each function, see the module."
  type = object({
    api     = optional(object({ memory = optional(number, 512), timeout = optional(number, 29), concurrency = optional(number, -1) }), {})
    refresh = optional(object({ memory = optional(number, 256), timeout = optional(number, 300), concurrency = optional(number, -1) }), {})
    reap    = optional(object({ memory = optional(number, 256), timeout = optional(number, 300), concurrency = optional(number, -1) }), {})
  })
  default = {}
}

variable "submissions_per_second" {
  description = "Submissions a second that one survey takes, see the module. null: 500."
  type        = number
  default     = null
}

variable "schedules" {
  description = "When refresh and reap run."
  type        = object({ refresh = optional(string, "rate(1 minute)"), reap = optional(string, "rate(1 minute)") })
  default     = {}
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 365
}

variable "secret_recovery_days" {
  description = "Days that a deleted secret or key can be had back."
  type        = number
  default     = 30
}

module "coordinator" {
  source              = "../../../modules/coordinator"
  lambda_zip          = var.lambda_zip
  lambda_architecture = var.lambda_architecture
  domain_name         = var.domain_name
  certificate_arn     = var.certificate_arn
  zone_id             = var.zone_id
  entry               = var.entry
  waf                 = var.waf
  settings            = var.settings
  documents           = var.documents
  tracing             = var.tracing
  alarms              = var.alarms
  deletion_protection = var.deletion_protection

  name                   = var.name
  function               = var.function
  submissions_per_second = var.submissions_per_second
  schedules              = var.schedules
  log_retention_days     = var.log_retention_days
  secret_recovery_days   = var.secret_recovery_days
}

output "url" {
  description = "For the federation: the coordinator's URL."
  value       = module.coordinator.url
}

output "secret_arns" {
  description = "To be filled with `tercet coordinator store`."
  value       = module.coordinator.secret_arns
}

output "domain_target" {
  description = "Where the domain's record must point, without zone_id."
  value       = module.coordinator.domain_target
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

output "concurrency_needed" {
  description = "Lambda instances that the account must be able to run at once; a new account has ten."
  value       = module.coordinator.concurrency_needed
}
