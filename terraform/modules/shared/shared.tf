# What the modules of party and notary say alike: the file is one, and both have a link to it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  bucket    = coalesce(var.bucket_name, "${local.name}-${local.account}")
  root      = "arn:${local.partition}:iam::${local.account}:root"
  fargate   = var.compute == "fargate" ? 1 : 0

  # For ECS's tasks of this account: not for another account's task that ECS could be talked into starting.
  task_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })

  # Looking after a key without being able to use it. No grants: a grant would hand the use on.
  key_administration = [
    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
    "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus",
    "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy",
    "kms:RevokeGrant", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
  ]
  administration = {
    Sid       = "TheAccountLooksAfterTheKeyButCannotUseIt"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action    = local.key_administration
    Resource  = "*"
  }

  # Statements of the key that encrypts at rest. Who may write secrets is the account's decision; who may read them is the secrets' own
  # policy.
  operators_fill_secrets = {
    Sid       = "OperatorsFillTheSecrets"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = "*"
    Condition = {
      StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" }
      StringLike   = { "kms:EncryptionContext:SecretARN" = "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${local.name}/*" }
    }
  }
  own_logs = {
    Sid       = "OwnLogs"
    Effect    = "Allow"
    Principal = { Service = "logs.${local.region}.amazonaws.com" }
    Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    Resource  = "*"
    Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [
      "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/tercet/${local.name}*",
      "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/ecs/containerinsights/${local.name}/performance",
    ] } }
  }

  # The policy of a secret: the running program reads it, and nobody else, whatever the account's other policies allow.
  only_the_task_reads = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTheTaskReads"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "secretsmanager:GetSecretValue"
      Resource  = "*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = aws_iam_role.task.arn } }
    }]
  })
}

variable "operator" {
  description = "Short name of the operator; part of every name."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.operator))
    error_message = "operator: 2 to 16 lower-case letters, digits and hyphens, beginning with a letter, such as example-org."
  }
}

variable "bucket_name" {
  description = "Name of the bucket; null: made of the deployment's name and the account."
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
  description = "Days that replaced and deleted objects can be had back. The shares of a person who left are among them, as ciphertext: keep it short."
  type        = number
  default     = 30
  validation {
    condition     = var.noncurrent_days >= 7 && var.noncurrent_days <= 90
    error_message = "noncurrent_days: at least 7, so that a deletion can be noticed and undone, and at most 90, because what somebody had erased is among them."
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

variable "compute" {
  description = "What runs the program: fargate, or none (a process elsewhere: LocalStack has no ECS)."
  type        = string
  default     = "fargate"
  validation {
    condition     = contains(["fargate", "none"], var.compute)
    error_message = "compute: fargate or none."
  }
}

# The rest is about compute = "fargate" only.

variable "image" {
  description = "The container image, by digest: REPOSITORY@sha256:…"
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

variable "started" {
  description = "Whether the program runs. Off at the first apply, when image, keys and documents do not exist yet: then ECS would try, fail three times and stay failed."
  type        = bool
  default     = false
  validation {
    condition     = !var.started || var.compute == "fargate"
    error_message = "started: with compute = \"none\" nothing here starts the program; leave it false."
  }
}

variable "restart" {
  description = "Any text; changing it restarts the program, for example after a secret was replaced."
  type        = string
  default     = ""
}

variable "domain_name" {
  description = "The domain of the program's API."
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

variable "fixed_egress" {
  description = "Whether the program's own connections come from one address. false saves the NAT gateway ($36 a month): the task is then in a public subnet, where nobody but the load balancer reaches it, and others must let any address of the region in."
  type        = bool
  default     = true
}

variable "vpc_cidr" {
  description = "Address range of the program's own network."
  type        = string
  default     = "10.64.0.0/20"
  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 3)) && try(tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr: a range of /16 to /24 such as 10.64.0.0/20."
  }
}

output "task_role_arn" {
  description = "Role of the running program."
  value       = aws_iam_role.task.arn
}

output "task_definition" {
  description = "The task definition that runs; null without compute."
  value       = one(module.service[*].task_definition.arn)
}

output "repository_url" {
  description = "Where to push the image; null without compute."
  value       = one(module.service[*].repository.repository_url)
}

output "domain_target" {
  description = "Where the domain's record must point when zone_id is not given; null without compute."
  value       = one(module.service[*].balancer.dns_name)
}
