# What a notary must not be deployed with.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  operator         = "example-org"
  image            = "example/notary@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  domain_name      = "notary.example.org"
  certificate_arn  = "arn:aws:acm:eu-central-1:111111111111:certificate/1"
  coordinator_keys = ["0000000000000000000000000000000000000000000000000000000000000000"]
}

run "one_resolver_is_refused" {
  command = plan
  variables {
    resolvers = ["1.1.1.1:53", "1.1.1.1:53"]
  }
  expect_failures = [var.resolvers]
}

run "no_coordinator_is_refused" {
  command = plan
  variables {
    coordinator_keys = []
  }
  expect_failures = [var.coordinator_keys]
}
