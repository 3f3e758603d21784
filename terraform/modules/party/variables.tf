variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.operator))
    error_message = "operator: 2 to 16 lower-case letters, digits and hyphens, beginning with a letter, such as example-org."
  }
}

variable "index" {
  description = "The party's place in the federation: 0, 1 or 2."
  type        = number
  validation {
    condition     = contains([0, 1, 2], var.index)
    error_message = "index: 0, 1 or 2."
  }
}

variable "bucket_name" {
  description = "Name of the bucket; null: made of operator, index and account."
  type        = string
  default     = null
  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name: 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "destroy_data" {
  description = "Lets `terraform destroy` delete the bucket with everything in it. Off: a bucket that holds data stays, and with it its keys."
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

variable "sealing_rotation" {
  description = "On while the sealing key is being rotated: the party opens what was sealed to the previous key too (docs/operators.md)."
  type        = bool
  default     = false
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

variable "alarms" {
  description = "Where alarms go (SNS topics); aborted sessions in five minutes and log entries behind the peers that are one."
  type        = object({ topic_arns = optional(list(string), []), aborts = optional(number, 5), lag = optional(number, 3) })
  default     = {}
  validation {
    condition     = alltrue([for arn in var.alarms.topic_arns : can(regex("^arn:aws[a-z-]*:sns:", arn))])
    error_message = "alarms: topic_arns must be ARNs of SNS topics."
  }
  validation {
    condition     = var.alarms.aborts >= 1 && var.alarms.lag >= 1
    error_message = "alarms: aborts and lag must be at least 1."
  }
}

variable "backup" {
  description = "Continuous copies of the bucket in AWS Backup: how many days they are kept, whether the vault is locked, and the ARN of a vault in another account that gets a copy."
  type        = object({ enabled = optional(bool, true), days = optional(number, 35), locked = optional(bool, true), copy_to = optional(string) })
  default     = {}
  validation {
    condition     = var.backup.copy_to == null || can(regex("^arn:aws[a-z-]*:backup:[a-z0-9-]+:[0-9]{12}:backup-vault:", var.backup.copy_to))
    error_message = "backup: copy_to must be the ARN of a backup vault, in another account."
  }
  validation {
    condition     = var.backup.days >= 7
    error_message = "backup: days must be at least 7."
  }
}

variable "compute" {
  description = "What runs the party: fargate, or none (a process elsewhere: LocalStack has no ECS)."
  type        = string
  default     = "fargate"
  validation {
    condition     = contains(["fargate", "none"], var.compute)
    error_message = "compute: fargate or none."
  }
}

# The rest is about compute = "fargate" only.

variable "image" {
  description = "The party's container image, by digest: REPOSITORY@sha256:…"
  type        = string
  default     = null
  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: give the image by digest (REPOSITORY@sha256:…): a tag can be moved to another program."
  }
  validation {
    condition     = var.image != null || !var.started
    error_message = "image: needed once started = true. Push the image to the repository that the first apply made."
  }
}

variable "engine_digest" {
  description = "SHA-256 of the engine in the image, 64 hexadecimal digits: what surveys pin."
  type        = string
  default     = null
  validation {
    condition     = var.engine_digest == null || can(regex("^[0-9a-f]{64}$", var.engine_digest))
    error_message = "engine_digest: 64 lower-case hexadecimal digits (`cargo xtask engine` prints them)."
  }
  validation {
    condition     = var.engine_digest != null || !var.started
    error_message = "engine_digest: needed once started = true."
  }
}

variable "started" {
  description = "Whether the party runs. Off at the first apply, when image, keys and documents do not exist yet: then ECS would try, fail three times and stay failed."
  type        = bool
  default     = false
  validation {
    condition     = !var.started || var.compute == "fargate"
    error_message = "started: with compute = \"none\" nothing here starts the party; leave it false."
  }
}

variable "documents" {
  description = "Folder with federation.json, surveys/*.json and their approvals, which are copied into the bucket; null: the operator copies them. A changed document restarts the party."
  type        = string
  default     = null
  validation {
    condition     = var.documents == null || try(length(setunion(fileset(var.documents, "federation.json"), fileset(var.documents, "surveys/*.json"))) > 0, false)
    error_message = "documents: the folder holds neither federation.json nor surveys/*.json. Paths are relative to where Terraform runs."
  }
  validation {
    condition     = var.documents == null || !var.started || try(fileexists("${var.documents}/federation.json"), false)
    error_message = "documents: the folder holds no federation.json, without which the party cannot start."
  }
}

variable "restart" {
  description = "Any text; changing it restarts the party, for example after a secret was replaced."
  type        = string
  default     = ""
}

variable "domain_name" {
  description = "The party's domain: its API is https://DOMAIN, its peer link DOMAIN:7443."
  type        = string
  default     = null
  validation {
    condition     = var.domain_name == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name: a lower-case domain such as party.example.org, without scheme and path."
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

variable "peer_cidrs" {
  description = "Addresses that may reach the peer link: the `egress_cidrs` of the other two operators."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for c in var.peer_cidrs : can(cidrhost(c, 0))])
    error_message = "peer_cidrs: each must be an address range such as 198.51.100.7/32."
  }
  validation {
    condition     = alltrue([for c in var.peer_cidrs : try(tonumber(split("/", c)[1]) >= 16, false)])
    error_message = "peer_cidrs: ranges of /15 and larger are refused: only the two other operators belong here."
  }
}

variable "vpc_cidr" {
  description = "Address range of the party's own network."
  type        = string
  default     = "10.64.0.0/20"
  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 3)) && try(tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr: a range of /16 to /24 such as 10.64.0.0/20."
  }
}

variable "task" {
  description = "The task's processor (CPU units), memory (MiB), disk (GiB) and architecture (ARM64 or X86_64)."
  type = object({
    cpu          = optional(number, 2048)
    memory       = optional(number, 4096)
    disk         = optional(number, 21)
    architecture = optional(string, "X86_64")
  })
  default = {}
  # The sizes that Fargate has: docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
  validation {
    condition = contains(lookup({
      "1024"  = [for g in range(2, 9) : g * 1024]
      "2048"  = [for g in range(4, 17) : g * 1024]
      "4096"  = [for g in range(8, 31) : g * 1024]
      "8192"  = [for g in range(16, 61, 4) : g * 1024]
      "16384" = [for g in range(32, 121, 8) : g * 1024]
    }, tostring(var.task.cpu), []), var.task.memory)
    error_message = "task: Fargate has no such size. cpu 1024 takes 2048 to 8192 MiB, 2048 takes 4096 to 16384, 4096 takes 8192 to 30720 (whole GiB), 8192 takes 16384 to 61440 by 4096, 16384 takes 32768 to 122880 by 8192."
  }
  validation {
    condition     = var.task.disk >= 21 && var.task.disk <= 200
    error_message = "task: disk must be 21 to 200 GiB."
  }
  validation {
    condition     = contains(["ARM64", "X86_64"], var.task.architecture)
    error_message = "task: architecture must be ARM64 or X86_64."
  }
}
