# Each wrong input is refused, at plan time, by the variable that it belongs to. A run holds several wrong inputs:
# every one of them has to be refused.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b"] }
  }
}

variables {
  operator        = "example-org"
  index           = 0
  image           = "example/party@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  engine_digest   = "0000000000000000000000000000000000000000000000000000000000000000"
  domain_name     = "party.example.org"
  certificate_arn = "arn:aws:acm:eu-central-1:111111111111:certificate/1"
}

run "first" {
  command = plan
  variables {
    operator             = "Example Org"
    index                = 3
    bucket_name          = "Shares"
    noncurrent_days      = 1
    secret_recovery_days = 3
    log_retention_days   = 7
    alarms               = { topic_arns = ["me@example.org"] }
    backup               = { days = 1 }
    image                = "tercet/party:latest"
    engine_digest        = "abc"
    domain_name          = "https://party.example.org"
    certificate_arn      = "cert-1"
    peer_cidrs           = ["party.example.org"]
    vpc_cidr             = "10.0.0.0/28"
    task                 = { memory = 512 }
    documents            = "tests/no-such-folder"
  }
  expect_failures = [var.operator, var.index, var.bucket_name, var.noncurrent_days, var.secret_recovery_days, var.log_retention_days, var.alarms, var.backup, var.image, var.engine_digest, var.domain_name, var.certificate_arn, var.peer_cidrs, var.vpc_cidr, var.task, var.documents]
}

run "what_fargate_needs" {
  command = plan
  variables {
    alarms          = { lag = 0 }
    image           = null
    engine_digest   = null
    domain_name     = null
    certificate_arn = null
    started         = true
    backup          = { copy_to = "arn:aws:s3:::bucket" }
    peer_cidrs      = ["0.0.0.0/0"]
    task            = { disk = 10 }
  }
  expect_failures = [var.alarms, var.image, var.engine_digest, var.domain_name, var.certificate_arn, var.peer_cidrs, var.task, var.backup]
}

run "zone_without_domain" {
  command = plan
  variables {
    compute     = "none"
    domain_name = null
    zone_id     = "Z0"
    task        = { architecture = "riscv" }
  }
  expect_failures = [var.zone_id, var.task]
}

run "compute" {
  command = plan
  variables {
    compute = "ec2"
  }
  expect_failures = [var.compute]
}

run "sizes_that_fargate_does_not_have" {
  command = plan
  variables {
    task = { cpu = 4096 }
  }
  expect_failures = [var.task]
}

run "a_folder_without_a_federation" {
  command = plan
  variables {
    started   = true
    documents = "tests/documents/surveys"
  }
  expect_failures = [var.documents]
}

run "nothing_to_start" {
  command = plan
  variables {
    started = true
    compute = "none"
  }
  expect_failures = [var.started]
}

run "what_was_erased_is_not_kept_for_long" {
  command = plan
  variables {
    noncurrent_days = 365
  }
  expect_failures = [var.noncurrent_days]
}
