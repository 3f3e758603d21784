# The same for every root on LocalStack: the file is one, and each root has a link to it.

# Everything goes to LocalStack, and nothing to AWS: every service that the modules use has its endpoint here, and the
# credentials are the account's number, which LocalStack takes as the account. No default tags: LocalStack forgets
# those of alarms, and no second apply would be clean.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
  # One state for each operator: terraform init -backend-config=path=FILE, with a TF_DATA_DIR of its own.
  backend "local" {}
}

variable "localstack_endpoint" {
  description = "Where LocalStack listens, such as http://127.0.0.1:4566."
  type        = string
  default     = "http://127.0.0.1:4566"
  validation {
    condition     = can(regex("^http://(127\\.0\\.0\\.1|localhost):[0-9]+$", var.localstack_endpoint))
    error_message = "localstack_endpoint: http://127.0.0.1:PORT. LocalStack has no access control: it belongs on the loopback interface."
  }
}

variable "account_id" {
  description = "The operator's account: any twelve digits, another for each operator."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id: twelve digits."
  }
}

variable "region" {
  description = "A region's name."
  type        = string
  default     = "us-east-1"
}

provider "aws" {
  region                      = var.region
  access_key                  = var.account_id
  secret_key                  = "localstack" # Any text does. # checkov:skip=CKV_AWS_41:LocalStack checks no secret key.
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
  s3_use_path_style           = true

  dynamic "endpoints" {
    for_each = [var.localstack_endpoint]
    content {
      apigateway     = endpoints.value
      cloudwatch     = endpoints.value
      dynamodb       = endpoints.value
      events         = endpoints.value
      iam            = endpoints.value
      kms            = endpoints.value
      lambda         = endpoints.value
      logs           = endpoints.value
      s3             = endpoints.value
      secretsmanager = endpoints.value
      sts            = endpoints.value
    }
  }
}
