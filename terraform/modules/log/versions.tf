terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # `aws_region.id` and all else that is used here mean the same in 5 and 6.
      version = ">= 5.100, < 7.0"
    }
  }
}
