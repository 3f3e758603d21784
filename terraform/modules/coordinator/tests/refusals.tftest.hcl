# Each wrong input is refused, at plan time, by the variable that it belongs to. A run holds several wrong inputs:
# every one of them has to be refused.

mock_provider "aws" {}

variables {
  lambda_zip = { api = "tests/empty.zip", refresh = "tests/empty.zip", reap = "tests/empty.zip" }
}

run "first" {
  command = plan
  variables {
    name                   = "Bad_Name"
    lambda_zip             = { api = "tests/empty.zip" }
    lambda_architecture    = "i386"
    settings               = { AWS_SECRET_ACCESS_KEY = "x" }
    function               = { api = { memory = 64 } }
    certificate_arn        = "arn:aws:acm:eu-central-1:444444444444:certificate/1"
    zone_id                = "Z0"
    submissions_per_second = 0
    waf                    = { enabled = true }
    schedules              = { reap = "every minute" }
    log_retention_days     = 7
    secret_recovery_days   = 3
    alarms                 = { topic_arns = ["me@example.org"] }
  }
  expect_failures = [var.name, var.lambda_zip, var.lambda_architecture, var.settings, var.function, var.certificate_arn, var.zone_id, var.submissions_per_second, var.waf, var.schedules, var.log_retention_days, var.secret_recovery_days, var.alarms]
}

run "second" {
  command = plan
  variables {
    lambda_zip  = { api = "tests/none.zip", refresh = "tests/empty.zip", reap = "tests/empty.zip" }
    settings    = { TERCET_TABLE = "other" }
    function    = { api = { timeout = 60 } }
    domain_name = "https://tercet.example.org/"
    waf         = { requests_per_address = 1 }
    alarms      = { refusals = 0 }
  }
  expect_failures = [var.lambda_zip, var.settings, var.function, var.domain_name, var.waf, var.alarms]
}

run "function_url_has_no_domain" {
  command = plan
  variables {
    entry           = "function_url"
    domain_name     = "tercet.example.org"
    certificate_arn = "arn:aws:acm:eu-central-1:444444444444:certificate/1"
    function        = { reap = { concurrency = 0 } }
  }
  expect_failures = [var.domain_name, var.function]
}

run "domain_without_certificate" {
  command = plan
  variables {
    domain_name = "tercet.example.org"

  }
  expect_failures = [var.certificate_arn]
}

run "certificate_of_another_kind" {
  command = plan
  variables {
    domain_name     = "tercet.example.org"
    certificate_arn = "cert-1"
  }
  expect_failures = [var.certificate_arn]
}

run "entry" {
  command = plan
  variables {
    entry = "alb"
  }
  expect_failures = [var.entry]
}
