# Each wrong input is refused, at plan time, by the variable that it belongs to.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  operator = "example-org"
}

run "refused" {
  command = plan
  variables {
    operator     = "Example Org"
    state_bucket = "State"
    emails       = ["ops"]
    watchers     = ["1"]
    domain_name  = "https://party.example.org"
  }
  expect_failures = [var.operator, var.state_bucket, var.emails, var.watchers, var.domain_name]
}
