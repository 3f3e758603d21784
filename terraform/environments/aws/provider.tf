# The same for every operator's root: the file is one, and each root has a link to it.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "region" {
  description = "Where everything is."
  type        = string
}

variable "account_id" {
  description = "The account this may be applied to; another one's credentials are refused."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id: twelve digits."
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
  default_tags {
    tags = { project = "tercet", role = basename(abspath(path.root)) }
  }
}
