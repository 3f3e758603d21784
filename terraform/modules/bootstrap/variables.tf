variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.operator))
    error_message = "operator: 2 to 16 lower-case letters, digits and hyphens, beginning with a letter, such as example-org."
  }
}

variable "state_bucket" {
  description = "Name of the bucket for Terraform's state; null: made of operator and account."
  type        = string
  default     = null
  validation {
    condition     = var.state_bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket: 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "emails" {
  description = "Addresses that alarms are sent to. Each gets a mail from AWS and must confirm it."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for e in var.emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", e))])
    error_message = "emails: each must be an e-mail address."
  }
}

variable "watchers" {
  description = "Accounts of the other operators that may subscribe to the alarms."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for a in var.watchers : can(regex("^[0-9]{12}$", a))])
    error_message = "watchers: each must be an AWS account of twelve digits."
  }
}

variable "domain_name" {
  description = "Domain that gets a certificate; null: none is made."
  type        = string
  default     = null
  validation {
    condition     = var.domain_name == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name: a lower-case domain such as party.example.org, without scheme and path."
  }
}

variable "zone_id" {
  description = "Route 53 zone of the domain. With it the certificate is validated here; without it, make the record that the output `validation` names."
  type        = string
  default     = null
  validation {
    condition     = var.zone_id == null || var.domain_name != null
    error_message = "zone_id: needs domain_name."
  }
}
