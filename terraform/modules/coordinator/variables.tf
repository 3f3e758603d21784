variable "name" {
  description = "Prefix of every name in this deployment."
  type        = string
  default     = "tercet-coordinator"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "lambda_zip" {
  description = "Paths of the functions' zips, by function: api, refresh, reap. `cargo xtask package` makes them."
  type        = map(string)
  validation {
    condition     = toset(keys(var.lambda_zip)) == toset(["api", "refresh", "reap"])
    error_message = "lambda_zip: give exactly the keys api, refresh and reap, each with the path of its zip."
  }
  validation {
    condition     = alltrue([for path in values(var.lambda_zip) : fileexists(path)])
    error_message = "lambda_zip: a file is missing; make the zips with `cargo xtask package`."
  }
}

variable "lambda_architecture" {
  description = "Processor that the zips are built for: arm64 or x86_64."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda_architecture)
    error_message = "lambda_architecture: arm64 or x86_64."
  }
}

variable "documents" {
  description = "Folder with federation.json and surveys/*.json, which are put into the table; null: none yet, and the functions say so. A changed document is taken within a minute, without a restart."
  type        = string
  default     = null
  validation {
    condition     = var.documents == null || try(fileexists("${var.documents}/federation.json"), false)
    error_message = "documents: the folder holds no federation.json. Paths are relative to where Terraform runs."
  }
}

variable "settings" {
  description = "Environment variables of the functions, TERCET_… or RUST_LOG. Never secrets: they are in Secrets Manager."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for k in keys(var.settings) : can(regex("^(TERCET_[A-Z0-9_]+|RUST_LOG)$", k))])
    error_message = "settings: names must be RUST_LOG or begin with TERCET_ (see the table of keys in coordinator-lambda/README.md)."
  }
  validation {
    condition     = !anytrue([for k in keys(var.settings) : contains(["TERCET_FUNCTION", "TERCET_TABLE", "TERCET_SIGNING_KEY_SECRET", "TERCET_LIMITS__SUBMISSIONS_PER_SECOND"], k)])
    error_message = "settings: TERCET_FUNCTION, TERCET_TABLE and TERCET_SIGNING_KEY_SECRET are set by the module, and TERCET_LIMITS__SUBMISSIONS_PER_SECOND by its variable submissions_per_second."
  }
}

variable "function" {
  description = "Memory (MB), time limit (s) and reserved concurrency of each function. -1 reserves none: a new account has only ten instances, of which AWS lets nobody reserve any. Once the account's limit is raised, reserve some for api, so that no other function of the account can take them all."
  type = object({
    api     = optional(object({ memory = optional(number, 512), timeout = optional(number, 29), concurrency = optional(number, -1) }), {})
    refresh = optional(object({ memory = optional(number, 256), timeout = optional(number, 300), concurrency = optional(number, -1) }), {})
    reap    = optional(object({ memory = optional(number, 256), timeout = optional(number, 300), concurrency = optional(number, -1) }), {})
  })
  default = {}
  validation {
    condition     = alltrue([for f in values(var.function) : f.memory >= 128 && f.memory <= 10240])
    error_message = "function: memory must be 128 to 10240 MB."
  }
  validation {
    condition     = var.function.api.timeout <= 29 && alltrue([for f in values(var.function) : f.timeout >= 1 && f.timeout < 900])
    error_message = "function: timeout must be 1 to 29 s for api (API Gateway waits no longer), below 900 s for the others (the refresh's lease)."
  }
  validation {
    condition     = alltrue([for f in values(var.function) : f.concurrency == -1 || f.concurrency >= 1])
    error_message = "function: concurrency must be at least 1, or -1 for none reserved; 0 would stop the function."
  }
}

variable "entry" {
  description = "What serves HTTPS: http (API Gateway HTTP API), rest (REST API; the one that LocalStack has and that WAF can guard) or function_url."
  type        = string
  default     = "http"
  validation {
    condition     = contains(["http", "rest", "function_url"], var.entry)
    error_message = "entry: http, rest or function_url."
  }
}

variable "rest_api_tags" {
  description = "More tags of the REST API. LocalStack takes the API's id from `_custom_id_`, which makes its URL known beforehand."
  type        = map(string)
  default     = {}
}

variable "domain_name" {
  description = "Domain of the API, such as tercet.example.org; null: API Gateway's own address."
  type        = string
  default     = null
  validation {
    condition     = var.domain_name == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name: a lower-case domain such as tercet.example.org, without scheme and path."
  }
  validation {
    condition     = var.domain_name == null || var.entry != "function_url"
    error_message = "domain_name: a function URL cannot have a domain of its own; choose entry http or rest."
  }
}

variable "certificate_arn" {
  description = "ACM certificate of domain_name, in this region."
  type        = string
  default     = null
  validation {
    condition     = (var.certificate_arn == null) == (var.domain_name == null)
    error_message = "certificate_arn: needed with domain_name, and only with it."
  }
  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "certificate_arn: the ARN of a certificate in AWS Certificate Manager."
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

variable "submissions_per_second" {
  description = "Submissions a second that one survey takes. The gateway's limit, the functions' rates and their counters follow from it (limits.json); so does the output concurrency_needed. null: 500."
  type        = number
  default     = null
  validation {
    condition     = var.submissions_per_second == null ? true : var.submissions_per_second >= 1 && floor(var.submissions_per_second) == var.submissions_per_second
    error_message = "submissions_per_second: a whole number, at least 1."
  }
}

variable "waf" {
  description = "Web application firewall in front of a REST API: AWS's rules against known bad input, and a limit by address over five minutes."
  type        = object({ enabled = optional(bool, false), requests_per_address = optional(number, 3000) })
  default     = {}
  validation {
    condition     = !var.waf.enabled || var.entry == "rest"
    error_message = "waf: AWS WAF guards REST APIs, not HTTP APIs or function URLs: choose entry = \"rest\"."
  }
  validation {
    condition     = var.waf.requests_per_address >= 10
    error_message = "waf: requests_per_address must be at least 10 (AWS's own minimum)."
  }
}

variable "schedules" {
  description = "When refresh and reap run: EventBridge schedule expressions."
  type        = object({ refresh = optional(string, "rate(1 minute)"), reap = optional(string, "rate(1 minute)") })
  default     = {}
  validation {
    condition     = alltrue([for s in values(var.schedules) : can(regex("^(rate|cron)\\(.+\\)$", s))])
    error_message = "schedules: write rate(5 minutes) or cron(…)."
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

variable "tracing" {
  description = "X-Ray traces of the functions."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Keeps the table from being deleted, by Terraform too. Off: `destroy` deletes the registry."
  type        = bool
  default     = true
}

variable "secret_recovery_days" {
  description = "Days that a deleted secret or key can be had back; 0 deletes secrets at once (tests)."
  type        = number
  default     = 30
  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days: 7 to 30, or 0 to delete at once."
  }
}

variable "alarms" {
  description = "Where alarms go (SNS topics), and how many refused requests in five minutes are one."
  type        = object({ topic_arns = optional(list(string), []), refusals = optional(number, 500) })
  default     = {}
  validation {
    condition     = alltrue([for arn in var.alarms.topic_arns : can(regex("^arn:aws[a-z-]*:sns:", arn))])
    error_message = "alarms: topic_arns must be ARNs of SNS topics."
  }
  validation {
    condition     = var.alarms.refusals >= 1
    error_message = "alarms: refusals must be at least 1."
  }
}
