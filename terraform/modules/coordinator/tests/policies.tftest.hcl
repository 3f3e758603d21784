# Renders the coordinator's policy documents for the evaluation in terraform/policies.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip = { api = "tests/empty.zip", refresh = "tests/empty.zip", reap = "tests/empty.zip" }
}

run "coordinator" {
  command = apply
  override_resource {
    target = aws_iam_role.function["api"]
    values = { arn = "arn:aws:iam::444444444444:role/tercet-coordinator-api", id = "tercet-coordinator-api" }
  }
  override_resource {
    target = aws_iam_role.function["refresh"]
    values = { arn = "arn:aws:iam::444444444444:role/tercet-coordinator-refresh", id = "tercet-coordinator-refresh" }
  }
  override_resource {
    target = aws_iam_role.function["reap"]
    values = { arn = "arn:aws:iam::444444444444:role/tercet-coordinator-reap", id = "tercet-coordinator-reap" }
  }
}
