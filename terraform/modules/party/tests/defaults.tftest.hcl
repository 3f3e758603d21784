# The defaults are safe. AWS is mocked: what is checked is what the module asks for.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  operator        = "example-org"
  index           = 0
  image           = "example/party@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  engine_digest   = "0000000000000000000000000000000000000000000000000000000000000000"
  domain_name     = "party.example.org"
  certificate_arn = "arn:aws:acm:eu-central-1:111111111111:certificate/1"
  peer_cidrs      = ["203.0.113.9/32", "192.0.2.4/32"]
  started         = true
}

run "store" {
  command = apply

  assert {
    condition     = module.bucket.settings.encryption.sse_algorithm == "aws:kms" && module.bucket.settings.encryption.kms_master_key_id == aws_kms_key.storage.arn
    error_message = "the bucket is encrypted with its own key"
  }
  assert {
    condition     = module.bucket.settings.versioning == "Enabled"
    error_message = "the bucket keeps versions"
  }
  assert {
    condition     = alltrue([module.bucket.settings.public_access.block_public_acls, module.bucket.settings.public_access.block_public_policy, module.bucket.settings.public_access.ignore_public_acls, module.bucket.settings.public_access.restrict_public_buckets]) && module.bucket.settings.ownership == "BucketOwnerEnforced"
    error_message = "no public access, no ACLs"
  }
  assert {
    condition     = anytrue([for s in module.bucket.settings.policy.Statement : s.Effect == "Deny" && s.Principal == "*" && s.Action == "s3:*" && length(s.Resource) == 2 && try(s.Condition.Bool["aws:SecureTransport"], "") == "false"])
    error_message = "TLS only"
  }
  assert {
    condition     = alltrue([for s in module.bucket.settings.policy.Statement : s.Effect == "Deny"])
    error_message = "the bucket's policy lets nobody in; it only keeps out"
  }
  assert {
    condition     = module.bucket.settings.bucket.force_destroy == false && aws_backup_vault.party[0].force_destroy == false
    error_message = "data is kept on destroy unless told otherwise"
  }
  assert {
    condition     = module.bucket.settings.lifecycle.noncurrent_version_expiration[0].noncurrent_days == 30 && module.bucket.settings.lifecycle.abort_incomplete_multipart_upload[0].days_after_initiation == 1
    error_message = "old versions end, not too soon"
  }
  assert {
    condition     = one(aws_backup_plan.party[0].rule).enable_continuous_backup && one(one(aws_backup_plan.party[0].rule).lifecycle).delete_after == 35 && aws_backup_selection.party[0].resources == toset([module.bucket.arn]) && aws_backup_vault_lock_configuration.party[0].min_retention_days == 35
    error_message = "the bucket is copied continuously, and no copy can be deleted before its time"
  }
  assert {
    condition     = alltrue([for action in ["tag:GetResources", "s3:ListAllMyBuckets"] : strcontains(aws_iam_role_policy.backup[0].policy, action)])
    error_message = "AWS Backup accepts the role for a selection"
  }
}

run "keys" {
  command = apply

  assert {
    condition     = alltrue([for k in [aws_kms_key.shares, aws_kms_key.storage] : k.enable_key_rotation && k.deletion_window_in_days == 30])
    error_message = "keys rotate, and a deletion can be undone for 30 days"
  }
  assert {
    condition     = alltrue([for action in ["kms:DisableKeyRotation", "kms:RotateKeyOnDemand", "kms:CancelKeyDeletion"] : contains(jsondecode(aws_kms_key.shares.policy).Statement[0].Action, action)])
    error_message = "the account looks after its keys"
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_kms_key.shares.policy).Statement : try(s.Principal.AWS, "") == aws_iam_role.task.arn || !anytrue([for a in flatten([s.Action]) : can(regex("^kms:(\\*|Decrypt|Encrypt|GenerateDataKey|ReEncrypt|CreateGrant)", a))])])
    error_message = "only the task's role uses the key of the shares"
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_kms_key.storage.policy).Statement : can(s.Condition) || !anytrue([for a in flatten([s.Action]) : can(regex("^kms:(\\*|Decrypt|Encrypt|GenerateDataKey|ReEncrypt|CreateGrant)", a))])])
    error_message = "the key of the storage is used through its services only"
  }
  assert {
    condition     = length(aws_secretsmanager_secret.key) == 4 && alltrue([for s in aws_secretsmanager_secret.key : s.kms_key_id == aws_kms_key.storage.arn && s.recovery_window_in_days == 30]) && alltrue([for p in aws_secretsmanager_secret_policy.key : p.block_public_policy && jsondecode(p.policy).Statement[0].Effect == "Deny"])
    error_message = "secrets are encrypted, read by the party only"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.task.policy, "\"Resource\":\"*\"") && !strcontains(aws_iam_role_policy.task.policy, ":*\"]") && !strcontains(aws_iam_role_policy.task.policy, "s3:*") && !strcontains(aws_iam_role_policy.task.policy, "kms:*")
    error_message = "the task's role names its resources and its actions"
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_iam_role_policy.task.policy).Statement : !contains(flatten([s.Action]), "s3:PutObject") || alltrue([for r in flatten([s.Resource]) : endswith(r, "/store/*")])])
    error_message = "the task writes below store/ only"
  }
}

run "service" {
  command = apply

  assert {
    condition     = alltrue([for c in jsondecode(module.service[0].task_definition.container_definitions) : c.readonlyRootFilesystem && !c.privileged && c.linuxParameters.capabilities.drop == ["ALL"]])
    error_message = "every container: read-only root, no privileges"
  }
  assert {
    condition     = alltrue([for c in jsondecode(module.service[0].task_definition.container_definitions) : !can(c.secrets) && alltrue([for e in c.environment : !can(regex("^[0-9a-fA-F]{64}$", e.value))])])
    error_message = "no secret in an environment"
  }
  assert {
    condition     = [for c in jsondecode(module.service[0].task_definition.container_definitions) : [c.name, c.user, c.stopTimeout, c.healthCheck.command[1]]] == [["party", "65532:65532", 120, "/usr/bin/party-host"]]
    error_message = "the task has one container; the party is not root, is asked whether it lives, and has time to stop"
  }
  assert {
    condition     = module.service[0].task_definition.skip_destroy && module.service[0].service.wait_for_steady_state && !one(module.service[0].service.deployment_circuit_breaker).rollback && module.service[0].service.health_check_grace_period_seconds == 3600
    error_message = "a failed deployment fails the apply, and a slow start is none"
  }
  assert {
    condition     = length(setintersection(flatten([for s in jsondecode(module.service[0].execution_policy).Statement : s.Action]), flatten([for s in jsondecode(aws_iam_role_policy.task.policy).Statement : s.Action]))) == 0
    error_message = "what starts the container can read nothing that the party can"
  }
  assert {
    condition     = length([for c in jsondecode(module.service[0].task_definition.container_definitions) : c.environment if contains([for e in c.environment : e.value], "s3://${module.bucket.id}/deployment/party.toml")]) == 1
    error_message = "the party reads its documents from the bucket itself"
  }
  assert {
    condition     = module.service[0].service.desired_count == 1 && module.service[0].service.deployment_maximum_percent == 100 && one(module.service[0].service.network_configuration).assign_public_ip == false && module.service[0].service.enable_execute_command == false
    error_message = "never two at once, no public address, no shell"
  }
  assert {
    condition     = module.service[0].peer_cidrs == toset(["203.0.113.9/32", "192.0.2.4/32"]) && length(module.service[0].task_cidrs) == 0 && module.service[0].open_ports == [443]
    error_message = "peers alone reach the peer link, everybody HTTPS, and nobody the task directly"
  }
  assert {
    condition     = module.service[0].listeners.api.protocol == "TLS" && module.service[0].listeners.api.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06" && module.service[0].listeners.peer.protocol == "TCP"
    error_message = "HTTPS ends at the load balancer, the peer link at the party"
  }
  assert {
    condition     = module.service[0].repository.image_tag_mutability == "IMMUTABLE" && !one(module.service[0].repository.image_scanning_configuration).scan_on_push
    error_message = "images do not change under their names, and no scan is claimed that AWS cannot make"
  }
  assert {
    condition     = alltrue([for c in jsondecode(module.service[0].task_definition.container_definitions) : c.logConfiguration.options["mode"] == "non-blocking" && c.logConfiguration.options["max-buffer-size"] == "25m"])
    error_message = "what happens to lines when CloudWatch is away is stated"
  }
  assert {
    condition     = one(module.service[0].zones.values) == "opt-in-not-required" && module.service[0].insights.retention_in_days == 30 && module.service[0].insights.kms_key_id == aws_kms_key.storage.arn
    error_message = "no Local Zone is taken, and no log is left without an end and a key"
  }
  assert {
    condition     = alltrue([for a in ["height-lag", "certificate", "memory", "unhealthy", "disk"] : contains(keys(module.service[0].alarms), a)]) && contains(keys(module.log.alarms), "aborts") && module.service[0].alarms["height-lag"].treat_missing_data == "breaching"
    error_message = "aborts, lag, expiry, disk and memory raise alarms, and so does a party that sends no metrics"
  }
  assert {
    condition     = strcontains(local.config, "namespace = \"${module.service[0].alarms["height-lag"].namespace}\"") && strcontains(local.config, "party = \"${module.service[0].alarms["height-lag"].dimensions.party}\"")
    error_message = "the party writes its metrics where the alarms look"
  }
  assert {
    condition     = module.service[0].alarms["certificate"].threshold == 30
    error_message = "expiry is told 30 days before"
  }
  assert {
    condition     = module.log.group.retention_in_days == 365 && module.log.group.kms_key_id == aws_kms_key.storage.arn
    error_message = "logs are encrypted and end"
  }
  assert {
    condition     = output.url == "https://party.example.org" && output.peer_address == "party.example.org:7443" && output.egress_cidrs == ["198.51.100.7/32"]
    error_message = "what the others need"
  }
}

run "no_compute" {
  command = apply
  variables {
    sealing_rotation = true
    started          = false
    compute          = "none"
    image            = null
    engine_digest    = null
    domain_name      = null
    certificate_arn  = null
    backup           = { enabled = false }
  }
  assert {
    condition     = length(module.service) + length(aws_backup_plan.party) == 0 && output.url == null
    error_message = "nothing that LocalStack lacks"
  }
  assert {
    condition     = strcontains(output.config, "sealing_previous = \"arn:") && !strcontains(run.service.config, "sealing_previous")
    error_message = "the previous sealing key is there while it is rotated, and only then"
  }
}

run "first_apply" {
  command = apply
  variables {
    image         = null
    engine_digest = null
    started       = false
  }
  assert {
    condition     = module.service[0].service.desired_count == 0 && module.service[0].service.wait_for_steady_state == false
    error_message = "before image, keys and documents exist, the service is there and stopped"
  }
}

run "documents_are_copied_and_restart_nothing" {
  command = apply
  variables {
    documents = "tests/documents"
  }
  assert {
    condition     = toset(keys(aws_s3_object.document)) == toset(["federation.json", "surveys/a.json", "surveys/a.approval"]) && alltrue([for o in aws_s3_object.document : o.server_side_encryption == "AES256"])
    error_message = "the documents are copied, under the key that their readers may use"
  }
  assert {
    condition     = module.service[0].task_definition.container_definitions == run.service.container_definitions
    error_message = "the party takes other documents while it runs"
  }
}

run "a_changed_configuration_restarts_the_party" {
  command = apply
  variables {
    sealing_rotation = true
  }
  assert {
    condition     = module.service[0].task_definition.container_definitions != run.service.container_definitions
    error_message = "another configuration is another task definition"
  }
}

run "restarted_by_hand" {
  command = apply
  variables {
    restart = "2026-11-27"
  }
  assert {
    condition     = module.service[0].task_definition.container_definitions != run.service.container_definitions
    error_message = "another text in restart is another task definition"
  }
}

run "guarded" {
  command = apply
  variables {
    alarms = { topic_arns = ["arn:aws:sns:eu-central-1:111111111111:alarms", "arn:aws:sns:eu-central-1:222222222222:alarms"] }
  }
  assert {
    condition     = keys(aws_cloudwatch_event_rule.guard) == ["deletions", "policies", "programs"] && length(aws_cloudwatch_event_target.guard) == 6 && length(module.service[0].deployment_targets) == 2
    error_message = "deletions for good, changes of policies, other programs and failed deployments are told to every topic"
  }
  assert {
    condition     = module.bucket.settings.events
    error_message = "EventBridge is told what happens to objects where somebody listens"
  }
  assert {
    condition     = alltrue([for name in ["PutBucketPolicy", "DeleteBucketPolicy", "PutBucketLifecycle", "PutBucketVersioning", "PutKeyPolicy", "UpdateAssumeRolePolicy"] : strcontains(aws_cloudwatch_event_rule.guard["policies"].event_pattern, name)])
    error_message = "each call that could give somebody the party's powers is watched"
  }
}

run "without_a_fixed_address" {
  command = apply
  variables {
    fixed_egress   = false
    peers_anywhere = true
    peer_cidrs     = ["0.0.0.0/0"]
  }
  assert {
    condition     = one(module.service[0].service.network_configuration).assign_public_ip && output.egress_cidrs == [] && run.service.egress_cidrs == ["198.51.100.7/32"]
    error_message = "without NAT the task has an address of its own, which nobody can rely on"
  }
  assert {
    condition     = length(module.service[0].task_cidrs) == 0 && module.service[0].open_ports == [443]
    error_message = "nobody reaches the task past its load balancer there either"
  }
}
