# Variables of the roots of party and notary: the file is one, and both have a link to it. The modules check them.

variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
}

variable "image" {
  description = "The image, by digest; null at the first apply, which makes the repository that it is pushed to."
  type        = string
  default     = null
}

variable "started" {
  description = "Whether the program runs: false at the first apply, true when image, keys and documents are there."
  type        = bool
  default     = false
}

variable "restart" {
  description = "Any text; changing it restarts the program, for example after a secret was replaced."
  type        = string
  default     = ""
}

variable "bucket_name" {
  description = "Name of the bucket; null: made of the deployment's name and the account."
  type        = string
  default     = null
}

variable "fixed_egress" {
  description = "Whether the program's own connections come from one address, see the module."
  type        = bool
  default     = true
}

variable "vpc_cidr" {
  description = "Address range of the program's own network."
  type        = string
  default     = "10.64.0.0/20"
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted objects can be had back."
  type        = number
  default     = 30
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 365
}

variable "secret_recovery_days" {
  description = "Days that deleted secrets can be had back."
  type        = number
  default     = 30
}

variable "domain_name" {
  description = "The program's domain."
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

variable "destroy_data" {
  description = "Lets `destroy` delete the bucket with everything in it. Apply it first, then destroy."
  type        = bool
  default     = false
}
