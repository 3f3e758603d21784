# Renders three parties' policy documents, each with the names of its own account, for the evaluation in
# terraform/policies.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image           = "example/party@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  engine_digest   = "0000000000000000000000000000000000000000000000000000000000000000"
  domain_name     = "party.example.org"
  certificate_arn = "arn:aws:acm:eu-central-1:111111111111:certificate/1"
}

run "party_0" {
  command = apply
  # A state of its own: the parties have nothing in common.
  state_key = "party_0"
  variables {
    operator = "org-0"
    index    = 0
  }
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "111111111111" }
  }
  override_resource {
    target = aws_iam_role.task
    values = { arn = "arn:aws:iam::111111111111:role/tercet-org-0-p0-task", id = "tercet-org-0-p0-task" }
  }
  override_resource {
    target = module.service[0].aws_iam_role.execution
    values = { arn = "arn:aws:iam::111111111111:role/tercet-org-0-p0-start", id = "tercet-org-0-p0-start" }
  }
  override_resource {
    target = aws_iam_role.backup
    values = { arn = "arn:aws:iam::111111111111:role/tercet-org-0-p0-backup", id = "tercet-org-0-p0-backup" }
  }
  override_resource {
    target = aws_kms_key.shares
    values = { arn = "arn:aws:kms:eu-central-1:111111111111:key/00000000-0000-0000-0000-000000000001" }
  }
  override_resource {
    target = aws_kms_key.storage
    values = { arn = "arn:aws:kms:eu-central-1:111111111111:key/00000000-0000-0000-0000-000000000002" }
  }
  override_resource {
    target = module.bucket.aws_s3_bucket.this
    values = { arn = "arn:aws:s3:::tercet-org-0-p0-111111111111", id = "tercet-org-0-p0-111111111111" }
  }
  override_resource {
    target = aws_secretsmanager_secret.key
    values = { arn = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:tercet-org-0-p0/key-AbCdEf" }
  }
  override_resource {
    target = module.service[0].aws_ecr_repository.this
    values = { arn = "arn:aws:ecr:eu-central-1:111111111111:repository/tercet-org-0-p0" }
  }
}

run "party_1" {
  command = apply
  # A state of its own: the parties have nothing in common.
  state_key = "party_1"
  variables {
    operator = "org-1"
    index    = 1
  }
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "222222222222" }
  }
  override_resource {
    target = aws_iam_role.task
    values = { arn = "arn:aws:iam::222222222222:role/tercet-org-1-p1-task", id = "tercet-org-1-p1-task" }
  }
  override_resource {
    target = module.service[0].aws_iam_role.execution
    values = { arn = "arn:aws:iam::222222222222:role/tercet-org-1-p1-start", id = "tercet-org-1-p1-start" }
  }
  override_resource {
    target = aws_iam_role.backup
    values = { arn = "arn:aws:iam::222222222222:role/tercet-org-1-p1-backup", id = "tercet-org-1-p1-backup" }
  }
  override_resource {
    target = aws_kms_key.shares
    values = { arn = "arn:aws:kms:eu-central-1:222222222222:key/00000000-0000-0000-0000-000000000001" }
  }
  override_resource {
    target = aws_kms_key.storage
    values = { arn = "arn:aws:kms:eu-central-1:222222222222:key/00000000-0000-0000-0000-000000000002" }
  }
  override_resource {
    target = module.bucket.aws_s3_bucket.this
    values = { arn = "arn:aws:s3:::tercet-org-1-p1-222222222222", id = "tercet-org-1-p1-222222222222" }
  }
  override_resource {
    target = aws_secretsmanager_secret.key
    values = { arn = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:tercet-org-1-p1/key-AbCdEf" }
  }
  override_resource {
    target = module.service[0].aws_ecr_repository.this
    values = { arn = "arn:aws:ecr:eu-central-1:222222222222:repository/tercet-org-1-p1" }
  }
}

run "party_2" {
  command = apply
  # A state of its own: the parties have nothing in common.
  state_key = "party_2"
  variables {
    operator = "org-2"
    index    = 2
  }
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "333333333333" }
  }
  override_resource {
    target = aws_iam_role.task
    values = { arn = "arn:aws:iam::333333333333:role/tercet-org-2-p2-task", id = "tercet-org-2-p2-task" }
  }
  override_resource {
    target = module.service[0].aws_iam_role.execution
    values = { arn = "arn:aws:iam::333333333333:role/tercet-org-2-p2-start", id = "tercet-org-2-p2-start" }
  }
  override_resource {
    target = aws_iam_role.backup
    values = { arn = "arn:aws:iam::333333333333:role/tercet-org-2-p2-backup", id = "tercet-org-2-p2-backup" }
  }
  override_resource {
    target = aws_kms_key.shares
    values = { arn = "arn:aws:kms:eu-central-1:333333333333:key/00000000-0000-0000-0000-000000000001" }
  }
  override_resource {
    target = aws_kms_key.storage
    values = { arn = "arn:aws:kms:eu-central-1:333333333333:key/00000000-0000-0000-0000-000000000002" }
  }
  override_resource {
    target = module.bucket.aws_s3_bucket.this
    values = { arn = "arn:aws:s3:::tercet-org-2-p2-333333333333", id = "tercet-org-2-p2-333333333333" }
  }
  override_resource {
    target = aws_secretsmanager_secret.key
    values = { arn = "arn:aws:secretsmanager:eu-central-1:333333333333:secret:tercet-org-2-p2/key-AbCdEf" }
  }
  override_resource {
    target = module.service[0].aws_ecr_repository.this
    values = { arn = "arn:aws:ecr:eu-central-1:333333333333:repository/tercet-org-2-p2" }
  }
}
