# AWS is mocked: what is checked is what the module asks for.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  operator = "example-org"
}

run "defaults" {
  command = apply
  assert {
    condition     = module.state.settings.bucket.bucket == "tercet-example-org-state-111111111111" && module.state.settings.versioning == "Enabled" && module.state.settings.public_access.restrict_public_buckets
    error_message = "the state has a bucket of its own that keeps versions and is not public"
  }
  assert {
    condition     = output.backend.use_lockfile && output.backend.region == "eu-central-1" && output.certificate_arn == null && output.validation == []
    error_message = "the state is locked, and no certificate is made that nobody asked for"
  }
  assert {
    condition     = length(jsondecode(aws_sns_topic_policy.alarms.policy).Statement) == 1 && jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111111111111"
    error_message = "alarms of this account alone reach the topic"
  }
}

run "watched" {
  command = apply
  variables {
    watchers = ["222222222222", "333333333333"]
    emails   = ["ops@example.org"]
  }
  assert {
    condition     = jsondecode(aws_sns_topic_policy.alarms.policy).Statement[1].Principal.AWS == ["arn:aws:iam::222222222222:root", "arn:aws:iam::333333333333:root"] && !contains(jsondecode(aws_sns_topic_policy.alarms.policy).Statement[1].Action, "sns:Publish")
    error_message = "the other operators listen, and cannot raise false alarms"
  }
}
