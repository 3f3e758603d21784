# Beside these there are the variables of shared.tf.

variable "index" {
  description = "The party's place in the federation: 0, 1 or 2."
  type        = number
  validation {
    condition     = contains([0, 1, 2], var.index)
    error_message = "index: 0, 1 or 2."
  }
}

variable "sealing_rotation" {
  description = "On while the sealing key is being rotated: the party opens what was sealed to the previous key too (docs/operators.md)."
  type        = bool
  default     = false
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

# The rest is about compute = "fargate" only.

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

variable "documents" {
  description = "Folder with federation.json, surveys/*.json and their approvals, which are copied into the bucket; null: the operator copies them. The party takes changed ones within a minute."
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

variable "peer_cidrs" {
  description = "Addresses that may reach the peer link: the `egress_cidrs` of the other two operators. [\"0.0.0.0/0\"] with peers_anywhere only."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for c in var.peer_cidrs : can(cidrhost(c, 0))])
    error_message = "peer_cidrs: each must be an address range such as 198.51.100.7/32."
  }
  validation {
    condition     = var.peers_anywhere || alltrue([for c in var.peer_cidrs : try(tonumber(split("/", c)[1]) >= 16, false)])
    error_message = "peer_cidrs: ranges of /15 and larger are refused: only the two other operators belong here. A peer without a fixed address needs peers_anywhere = true."
  }
}

variable "peers_anywhere" {
  description = "Admits wide ranges in peer_cidrs, for peers without a fixed address (fixed_egress = false). The peer link is then fenced by its TLS alone, which pins both sides' keys."
  type        = bool
  default     = false
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
