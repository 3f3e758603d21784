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
  started          = true
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
    condition     = alltrue([for c in jsondecode(module.service[0].task_definition.container_definitions) : c.readonlyRootFilesystem && !c.privileged && c.linuxParameters.capabilities.drop == ["ALL"]])
    error_message = "every container: read-only root, no privileges"
  }
  assert {
    condition     = [for c in jsondecode(module.service[0].task_definition.container_definitions) : [c.name, c.user, c.command[0]]] == [["notary", "65532:65532", "run"]]
    error_message = "the task has one container, and the notary is not root"
  }
  assert {
    condition     = module.service[0].service.desired_count == 1 && module.service[0].task_definition.skip_destroy && module.service[0].service.wait_for_steady_state && !one(module.service[0].service.deployment_circuit_breaker).rollback && module.service[0].service.deployment_maximum_percent == 100 && one(module.service[0].service.network_configuration).assign_public_ip == false && module.service[0].service.enable_execute_command == false
    error_message = "never two at once, which would take a ticket twice; a failed deployment fails the apply; no public address, no shell"
  }
  assert {
    condition     = alltrue([for e in [for c in jsondecode(module.service[0].task_definition.container_definitions) : c.environment if c.name == "notary"][0] : e.name != "TERCET_NOTARY_RESOLVE"])
    error_message = "no name is mapped in use"
  }
  assert {
    condition     = module.service[0].targets["api"].preserve_client_ip == "true" && module.service[0].listeners.api.protocol == "TLS"
    error_message = "sessions are limited by the provider's address, and TLS stands in front"
  }
}

run "first_apply" {
  command = apply
  variables {
    image   = null
    started = false
  }
  assert {
    condition     = module.service[0].service.desired_count == 0 && module.service[0].service.wait_for_steady_state == false
    error_message = "before image and key exist, the service is there and stopped"
  }
}
