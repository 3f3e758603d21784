variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.operator))
    error_message = "operator: 2 to 16 lower-case letters, digits and hyphens, beginning with a letter, such as example-org."
  }
}

variable "bucket_name" {
  description = "Name of the bucket; null: made of operator and account."
  type        = string
  default     = null
  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name: 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "destroy_data" {
  description = "Lets `terraform destroy` delete the bucket with the surveys in it."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted objects can be had back."
  type        = number
  default     = 90
  validation {
    condition     = var.noncurrent_days >= 7
    error_message = "noncurrent_days: at least 7, so that a deletion can be noticed and undone."
  }
}

variable "secret_recovery_days" {
  description = "Days that deleted secrets can be had back; 0 deletes them at once (tests)."
  type        = number
  default     = 30
  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days: 7 to 30, or 0 to delete at once."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 365
  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: one of CloudWatch's steps, at least 30: 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, …"
  }
}

variable "alarm_topic_arns" {
  description = "Where alarms go (SNS topics)."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:aws[a-z-]*:sns:", arn))])
    error_message = "alarm_topic_arns: ARNs of SNS topics."
  }
}

variable "coordinator_keys" {
  description = "Keys that the coordinator signs tickets with, 64 hexadecimal digits each; two during a rotation."
  type        = list(string)
  validation {
    condition     = length(var.coordinator_keys) >= 1 && alltrue([for k in var.coordinator_keys : can(regex("^[0-9a-f]{64}$", k))])
    error_message = "coordinator_keys: at least one key of 64 lower-case hexadecimal digits (GET /v1/federation at the coordinator shows it)."
  }
}

variable "resolvers" {
  description = "DNS servers, at least two of different operators. The notary connects only to an address that all of them name."
  type        = list(string)
  default     = ["1.1.1.1:53", "9.9.9.9:53"]
  validation {
    condition     = length(distinct(var.resolvers)) >= 2 && alltrue([for r in var.resolvers : can(regex("^[0-9.]+:53$", r))])
    error_message = "resolvers: at least two different ADDRESS:53."
  }
}

variable "sessions" {
  description = "Sessions at a time, in all and of one address, and seconds of one."
  type        = object({ at_a_time = optional(number, 256), by_address = optional(number, 4), seconds = optional(number, 60) })
  default     = {}
  validation {
    condition     = var.sessions.at_a_time >= 1 && var.sessions.by_address >= 1 && var.sessions.seconds >= 1 && var.sessions.seconds <= 120
    error_message = "sessions: at least one, and 1 to 120 seconds."
  }
}

variable "compute" {
  description = "What runs the notary: fargate, or none (a process elsewhere: LocalStack has no ECS)."
  type        = string
  default     = "fargate"
  validation {
    condition     = contains(["fargate", "none"], var.compute)
    error_message = "compute: fargate or none."
  }
}

# The rest is about compute = "fargate" only.

variable "image" {
  description = "The notary's container image, by digest: REPOSITORY@sha256:…"
  type        = string
  default     = null
  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: give the image by digest (REPOSITORY@sha256:…): a tag can be moved to another program."
  }
  validation {
    condition     = var.image != null || var.compute == "none"
    error_message = "image: needed with compute = \"fargate\"."
  }
}

variable "domain_name" {
  description = "The notary's domain."
  type        = string
  default     = null
  validation {
    condition     = var.domain_name == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name: a lower-case domain such as notary.example.org, without scheme and path."
  }
  validation {
    condition     = var.domain_name != null || var.compute == "none"
    error_message = "domain_name: needed with compute = \"fargate\"."
  }
}

variable "certificate_arn" {
  description = "ACM certificate of domain_name, in this region."
  type        = string
  default     = null
  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "certificate_arn: the ARN of a certificate in AWS Certificate Manager."
  }
  validation {
    condition     = var.certificate_arn != null || var.compute == "none"
    error_message = "certificate_arn: needed with compute = \"fargate\"."
  }
}

variable "zone_id" {
  description = "Route 53 zone that gets the domain's record; null: you make the record."
  type        = string
  default     = null
  validation {
    condition     = var.zone_id == null || var.domain_name != null
    error_message = "zone_id: needs domain_name."
  }
}

variable "vpc_cidr" {
  description = "Address range of the notary's own network."
  type        = string
  default     = "10.65.0.0/20"
  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 3)) && try(tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr: a range of /16 to /24 such as 10.65.0.0/20."
  }
}

variable "task" {
  description = "The task's processor (CPU units), memory (MiB) and architecture (ARM64 or X86_64)."
  type        = object({ cpu = optional(number, 256), memory = optional(number, 512), architecture = optional(string, "X86_64") })
  default     = {}
  validation {
    condition     = contains([256, 512, 1024, 2048], var.task.cpu) && var.task.memory >= 512
    error_message = "task: cpu must be 256, 512, 1024 or 2048, and memory at least 512 MiB."
  }
  validation {
    condition     = contains(["ARM64", "X86_64"], var.task.architecture)
    error_message = "task: architecture must be ARM64 or X86_64."
  }
}

variable "aws_cli_image" {
  description = "The AWS command line, which copies the surveys before the start: by digest or by a full version."
  type        = string
  default     = "public.ecr.aws/aws-cli/aws-cli:2.31.22"
  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:v?[0-9]+\\.[0-9]+\\.[0-9]+)$", var.aws_cli_image))
    error_message = "aws_cli_image: by digest or by a full version, never by a moving tag such as latest."
  }
}
