# Renders a notary's policy documents, with the names of an account of its own, for the evaluation in terraform/policies.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  operator         = "org-n"
  image            = "example/notary@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  domain_name      = "notary.example.org"
  certificate_arn  = "arn:aws:acm:eu-central-1:555555555555:certificate/1"
  coordinator_keys = ["0000000000000000000000000000000000000000000000000000000000000000"]
}

run "notary" {
  command = apply
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "555555555555" }
  }
  override_resource {
    target = aws_iam_role.task
    values = { arn = "arn:aws:iam::555555555555:role/tercet-org-n-notary-task", id = "tercet-org-n-notary-task" }
  }
  override_resource {
    target = module.service[0].aws_iam_role.execution
    values = { arn = "arn:aws:iam::555555555555:role/tercet-org-n-notary-start", id = "tercet-org-n-notary-start" }
  }
  override_resource {
    target = aws_kms_key.storage
    values = { arn = "arn:aws:kms:eu-central-1:555555555555:key/00000000-0000-0000-0000-000000000001" }
  }
  override_resource {
    target = module.bucket.aws_s3_bucket.this
    values = { arn = "arn:aws:s3:::tercet-org-n-notary-555555555555", id = "tercet-org-n-notary-555555555555" }
  }
  override_resource {
    target = aws_secretsmanager_secret.key
    values = { arn = "arn:aws:secretsmanager:eu-central-1:555555555555:secret:tercet-org-n-notary/key-AbCdEf" }
  }
  override_resource {
    target = module.service[0].aws_ecr_repository.this
    values = { arn = "arn:aws:ecr:eu-central-1:555555555555:repository/tercet-org-n-notary" }
  }
}
