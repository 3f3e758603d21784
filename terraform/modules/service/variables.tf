# What a service is made of. The module that calls this one checks what its operator gives it.

variable "name" {
  description = "Name of everything that is made here."
  type        = string
}

variable "account" {
  description = "The AWS account."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "partition" {
  description = "The AWS partition."
  type        = string
}

variable "container" {
  description = "The container: its name, arguments, environment, health check, labels."
  type = object({
    name        = string
    command     = optional(list(string), [])
    environment = map(string)
    health      = list(string)
    labels      = optional(map(string), {})
  })
}

variable "image" {
  description = "The image by digest; null until it is pushed. A service that is not started never fetches it."
  type        = string
}

variable "started" {
  description = "Whether the service runs."
  type        = bool
}

variable "task" {
  description = "Processor (CPU units), memory (MiB), disk (GiB) and architecture."
  type        = object({ cpu = number, memory = number, disk = optional(number, 21), architecture = string })
}

variable "task_role_arn" {
  description = "Role of the running program."
  type        = string
}

variable "after" {
  description = "Anything that has to be there before the service starts."
  type        = list(string)
}

variable "ports" {
  description = "The container's ports: api, and peer if there is a peer link."
  type        = map(number)
}

variable "peer_cidrs" {
  description = "Addresses that may reach the peer link."
  type        = list(string)
  default     = []
}

variable "fixed_egress" {
  description = "Whether what the task sends leaves through one address, which costs a NAT gateway."
  type        = bool
}

variable "egress" {
  description = "What the task may connect to anywhere, and why."
  type        = map(object({ protocol = string, port = number, why = string }))
}

variable "preserve_client_ip" {
  description = "Whether the program sees the addresses of those who connect."
  type        = bool
}

variable "bucket_arn" {
  description = "The bucket that is reached without leaving AWS's network."
  type        = string
}

variable "domain_name" {
  description = "The service's domain."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate of domain_name."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone that gets the domain's record; null: somebody else makes it."
  type        = string
}

variable "vpc_cidr" {
  description = "Address range of the service's own network."
  type        = string
}

variable "log_group" {
  description = "The log."
  type        = object({ name = string, arn = string })
}

variable "kms_key_arn" {
  description = "Key that encrypts the log of Container Insights."
  type        = string
}

variable "alarms" {
  description = "Alarms beside those that every service has."
  type = map(object({
    namespace = string, metric = string, dimensions = map(string), stat = string, periods = number, threshold = number
    below     = bool, missing = string, text = string
  }))
  default = {}
}

variable "topic_arns" {
  description = "Where alarms go (SNS topics)."
  type        = list(string)
}

variable "force_delete" {
  description = "Lets `destroy` delete the repository with images in it."
  type        = bool
}
