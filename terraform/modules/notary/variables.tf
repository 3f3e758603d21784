# Beside these there are the variables of shared.tf.

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

# The rest is about compute = "fargate" only.

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

