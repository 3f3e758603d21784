# The defaults are safe. AWS is mocked: what is checked is what the module asks for.

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

run "key" {
  command = apply

  assert {
    condition     = aws_secretsmanager_secret.key.kms_key_id == aws_kms_key.storage.arn && aws_secretsmanager_secret.key.recovery_window_in_days == 30 && aws_secretsmanager_secret_policy.key.block_public_policy && jsondecode(aws_secretsmanager_secret_policy.key.policy).Statement[0].Effect == "Deny"
    error_message = "the key is encrypted, and read by the notary only"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.task.policy, "\"Resource\":\"*\"") && !strcontains(aws_iam_role_policy.task.policy, "s3:Put") && !strcontains(aws_iam_role_policy.task.policy, "s3:*") && !strcontains(aws_iam_role_policy.task.policy, "kms:*")
    error_message = "the task's role names its resources and writes nothing"
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_kms_key.storage.policy).Statement : can(s.Condition) || !anytrue([for a in flatten([s.Action]) : can(regex("^kms:(\\*|Decrypt|Encrypt|GenerateDataKey|ReEncrypt|CreateGrant)", a))])])
    error_message = "the key at rest is used through its services only"
  }
}

run "service" {
  command = apply

  assert {
    condition     = alltrue([for c in jsondecode(aws_ecs_task_definition.notary[0].container_definitions) : c.readonlyRootFilesystem && !c.privileged && c.linuxParameters.capabilities.drop == ["ALL"]])
    error_message = "every container: read-only root, no privileges"
  }
  assert {
    condition     = [for c in jsondecode(aws_ecs_task_definition.notary[0].container_definitions) : [c.user, c.command[0]] if c.name == "notary"] == [["65532:65532", "run"]]
    error_message = "the notary is not root"
  }
  assert {
    condition     = aws_ecs_service.notary[0].desired_count == 1 && aws_ecs_service.notary[0].deployment_maximum_percent == 100 && one(aws_ecs_service.notary[0].network_configuration).assign_public_ip == false && aws_ecs_service.notary[0].enable_execute_command == false
    error_message = "never two at once, which would take a ticket twice; no public address, no shell"
  }
  assert {
    condition     = alltrue([for e in [for c in jsondecode(aws_ecs_task_definition.notary[0].container_definitions) : c.environment if c.name == "notary"][0] : e.name != "TERCET_NOTARY_RESOLVE"])
    error_message = "no name is mapped in use"
  }
  assert {
    condition     = aws_lb_target_group.notary["api"].preserve_client_ip == "true" && aws_lb_listener.api[0].protocol == "TLS"
    error_message = "sessions are limited by the provider's address, and TLS stands in front"
  }
}
