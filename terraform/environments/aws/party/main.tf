# Beside these there are the variables of program.tf.

variable "index" {
  description = "The party's place in the federation: 0, 1 or 2."
  type        = number
}

variable "engine_digest" {
  description = "SHA-256 of the engine in the image; null at the first apply."
  type        = string
  default     = null
}

variable "documents" {
  description = "Folder with federation.json and surveys/*.json; null at the first apply."
  type        = string
  default     = null
}

variable "backup" {
  description = "Continuous copies of the bucket, see the module."
  type        = object({ enabled = optional(bool, true), days = optional(number, 35), locked = optional(bool, true), copy_to = optional(string) })
  default     = {}
}

variable "peer_cidrs" {
  description = "The other two operators' `egress_cidrs`. Empty at first: yours are known after the first apply, and so are theirs."
  type        = list(string)
  default     = []
}

variable "peers_anywhere" {
  description = "Admits wide ranges in peer_cidrs, for peers without a fixed address."
  type        = bool
  default     = false
}

variable "task" {
  description = "Size of the task, see the module."
  type = object({
    cpu          = optional(number, 2048)
    memory       = optional(number, 4096)
    disk         = optional(number, 21)
    architecture = optional(string, "X86_64")
  })
  default = {}
}

variable "alarms" {
  description = "Where alarms go, and from when on."
  type        = object({ topic_arns = optional(list(string), []), aborts = optional(number, 5), lag = optional(number, 3) })
  default     = {}
}

variable "sealing_rotation" {
  description = "On while the sealing key is being rotated."
  type        = bool
  default     = false
}

module "party" {
  source          = "../../../modules/party"
  operator        = var.operator
  index           = var.index
  image           = var.image
  engine_digest   = var.engine_digest
  domain_name     = var.domain_name
  certificate_arn = var.certificate_arn
  zone_id         = var.zone_id
  peer_cidrs      = var.peer_cidrs
  peers_anywhere  = var.peers_anywhere
  task            = var.task
  alarms          = var.alarms
  destroy_data    = var.destroy_data

  fixed_egress         = var.fixed_egress
  started              = var.started
  documents            = var.documents
  restart              = var.restart
  backup               = var.backup
  bucket_name          = var.bucket_name
  vpc_cidr             = var.vpc_cidr
  noncurrent_days      = var.noncurrent_days
  log_retention_days   = var.log_retention_days
  secret_recovery_days = var.secret_recovery_days
  sealing_rotation     = var.sealing_rotation
}

output "manifest" {
  description = "For `tercet operator init`: what the operator's manifest says."
  value = {
    account      = module.party.account
    url          = module.party.url
    peer_address = module.party.peer_address
    engine       = var.engine_digest
  }
}

output "egress_cidrs" {
  description = "For the other operators: their peer_cidrs."
  value       = module.party.egress_cidrs
}

output "secret_arns" {
  description = "To be filled with `tercet operator store`."
  value       = module.party.secret_arns
}

output "deployment" {
  description = "Where federation.json and surveys/*.json lie. Terraform copies them there from the folder `documents`; by hand: aws s3 cp --sse AES256 FILE …"
  value       = "s3://${module.party.bucket}/deployment/"
}

output "repository_url" {
  description = "Where the image is pushed."
  value       = module.party.repository_url
}

output "domain_target" {
  description = "Where the domain's record must point, without zone_id."
  value       = module.party.domain_target
}

output "bucket" {
  value = module.party.bucket
}

output "kms_key_arn" {
  value = module.party.kms_key_arn
}

output "task_role_arn" {
  value = module.party.task_role_arn
}

output "task_definition" {
  value = module.party.task_definition
}

output "doctor" {
  description = "For `tercet operator doctor`: terraform output -json doctor > deployment.json."
  value       = module.party.doctor
}
