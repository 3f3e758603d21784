# The defaults are safe. AWS is mocked: what is checked is what the module asks for.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip = { api = "tests/empty.zip", refresh = "tests/empty.zip", reap = "tests/empty.zip" }
}

run "defaults" {
  command = apply

  assert {
    condition     = one(aws_dynamodb_table.registry.server_side_encryption).kms_key_arn == aws_kms_key.main.arn && aws_kms_key.main.enable_key_rotation
    error_message = "the table is encrypted with the module's own key, which rotates"
  }
  assert {
    condition     = one(aws_dynamodb_table.registry.point_in_time_recovery).enabled && aws_dynamodb_table.registry.deletion_protection_enabled
    error_message = "the table can be restored to any second, and is not deleted by accident"
  }
  assert {
    condition     = one(aws_dynamodb_table.registry.ttl).enabled && one(aws_dynamodb_table.registry.ttl).attribute_name == "expires_at" && aws_dynamodb_table.registry.hash_key == "pk" && aws_dynamodb_table.registry.range_key == "sk" && aws_dynamodb_table.registry.billing_mode == "PAY_PER_REQUEST"
    error_message = "the table has the layout that the program expects"
  }
  assert {
    condition     = alltrue([for g in aws_cloudwatch_log_group.function : g.retention_in_days == 365 && g.kms_key_id == aws_kms_key.main.arn])
    error_message = "logs are encrypted and end"
  }
  assert {
    condition     = alltrue([for p in aws_iam_role_policy.function : !strcontains(p.policy, "\"Resource\":\"*\"") && !can(regex("\"Action\":(\\[[^]]*)?\"[a-z0-9]*:?\\*", p.policy))])
    error_message = "no role names every resource or every action"
  }
  assert {
    condition     = alltrue([for p in aws_iam_role_policy.function : !can(regex("\"(s3|iam|sts|lambda|ec2):", p.policy))])
    error_message = "no function touches buckets, roles or other functions"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.function["refresh"].policy, "DeleteItem") && !strcontains(aws_iam_role_policy.function["reap"].policy, "PutItem")
    error_message = "each function has the rights on the table that it needs, not another's"
  }
  assert {
    condition     = aws_lambda_function.function["api"].environment[0].variables["TERCET_SIGNING_KEY_SECRET"] == aws_secretsmanager_secret.signing_key.arn && alltrue([for f in aws_lambda_function.function : !anytrue([for v in values(f.environment[0].variables) : can(regex("^[0-9a-fA-F]{64}$", v))])])
    error_message = "functions are told where the key is, never the key"
  }
  assert {
    condition     = alltrue([for f in aws_lambda_function.function : f.reserved_concurrent_executions == -1])
    error_message = "a new account may not reserve instances, so the first apply must not ask for any"
  }
  assert {
    condition     = length(aws_apigatewayv2_api.http) == 1 && length(aws_api_gateway_rest_api.rest) == 0 && length(aws_lambda_function_url.api) == 0 && output.url == "https://a1.execute-api.eu-central-1.amazonaws.com"
    error_message = "one entry: the HTTP API"
  }
  assert {
    condition     = aws_apigatewayv2_stage.http[0].default_route_settings[0].throttling_rate_limit == 1500 && !strcontains(aws_apigatewayv2_stage.http[0].access_log_settings[0].format, "sourceIp")
    error_message = "the gateway limits the rate, and its log has no addresses"
  }
  assert {
    condition     = jsondecode(aws_secretsmanager_secret_policy.signing_key.policy).Statement[0].Effect == "Deny" && aws_secretsmanager_secret_policy.signing_key.block_public_policy && aws_secretsmanager_secret.signing_key.recovery_window_in_days == 30
    error_message = "only the functions read the secret, and a deleted one can be had back"
  }
  assert {
    condition     = toset([for r in aws_cloudwatch_event_rule.tick : r.schedule_expression]) == toset(["rate(1 minute)"]) && length(aws_lambda_permission.tick) == 2 && alltrue([for p in aws_lambda_permission.tick : p.source_arn != null])
    error_message = "refresh and reap run every minute, invoked by their own rules only"
  }
  assert {
    condition     = alltrue([for a in ["api-errors", "api-throttles", "reap-errors", "refusals", "failures", "table-writethrottleevents"] : contains(keys(aws_cloudwatch_metric_alarm.alarm), a)]) && length(aws_cloudwatch_metric_alarm.silent) == 2 && aws_cloudwatch_metric_alarm.alarm["gateway"].metric_name == "5xx"
    error_message = "errors, throttles, refusals, silence and what the gateway answers itself raise alarms"
  }
  assert {
    condition     = alltrue([for f in aws_lambda_function.function : f.runtime == "provided.al2023" && f.tracing_config[0].mode == "PassThrough"]) && length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) == 6
    error_message = "runtime, tracing off, dashboard"
  }
}

run "http_with_domain" {
  command = apply
  variables {
    domain_name     = "tercet.example.org"
    certificate_arn = "arn:aws:acm:eu-central-1:444444444444:certificate/1"
    zone_id         = "Z0"
  }
  assert {
    condition     = output.url == "https://tercet.example.org" && aws_apigatewayv2_api.http[0].disable_execute_api_endpoint && length(aws_route53_record.domain) == 1
    error_message = "with a domain there is no second way in"
  }
  assert {
    condition     = aws_apigatewayv2_domain_name.http[0].domain_name_configuration[0].security_policy == "TLS_1_2" && aws_lambda_function.function["api"].environment[0].variables["TERCET_PUBLIC_URL"] == "https://tercet.example.org"
    error_message = "TLS 1.2 or newer; the program knows its address"
  }
}

run "rest_with_firewall" {
  command = apply
  variables {
    entry           = "rest"
    domain_name     = "tercet.example.org"
    certificate_arn = "arn:aws:acm:eu-central-1:444444444444:certificate/1"
    waf             = { enabled = true }
    tracing         = true
  }
  assert {
    condition     = length(aws_api_gateway_rest_api.rest) == 1 && length(aws_apigatewayv2_api.http) == 0 && aws_cloudwatch_metric_alarm.alarm["gateway"].metric_name == "5XXError" && length(aws_wafv2_web_acl_association.rest) == 1 && aws_api_gateway_domain_name.rest[0].security_policy == "TLS_1_2"
    error_message = "a REST API behind the firewall"
  }
  assert {
    condition     = aws_api_gateway_stage.rest[0].xray_tracing_enabled && aws_lambda_function.function["api"].tracing_config[0].mode == "Active" && strcontains(aws_iam_role_policy.function["api"].policy, "xray:PutTraceSegments")
    error_message = "tracing can be switched on"
  }
}

run "function_url" {
  command = apply
  variables {
    entry = "function_url"
  }
  assert {
    condition     = output.url == "https://x.lambda-url.eu-central-1.on.aws" && length(aws_apigatewayv2_api.http) == 0
    error_message = "a function URL alone"
  }
}

run "settings_do_not_win_over_the_modules_own" {
  command = apply
  variables {
    settings = { TERCET_LIMITS__ADDRESS__BURST = "7", TERCET_SURVEYS = "elsewhere" }
    function = { api = { concurrency = -1 } }
  }
  assert {
    condition     = aws_lambda_function.function["reap"].environment[0].variables["TERCET_LIMITS__ADDRESS__BURST"] == "7" && aws_lambda_function.function["reap"].environment[0].variables["TERCET_SURVEYS"] == "elsewhere" && aws_lambda_function.function["reap"].environment[0].variables["TERCET_FUNCTION"] == "reap"
    error_message = "settings reach every function"
  }
  assert {
    condition     = aws_lambda_function.function["api"].reserved_concurrent_executions == -1
    error_message = "-1 reserves no concurrency"
  }
}

run "reserved_instances" {
  command = apply
  variables {
    function = { api = { concurrency = 50 } }
  }
  assert {
    condition     = aws_lambda_function.function["api"].reserved_concurrent_executions == 50
    error_message = "what the operator reserves is reserved"
  }
}

run "one_number_decides_the_limits" {
  command = apply
  variables {
    submissions_per_second = 100
  }
  assert {
    condition     = aws_apigatewayv2_stage.http[0].default_route_settings[0].throttling_rate_limit == 300 && aws_apigatewayv2_stage.http[0].default_route_settings[0].throttling_burst_limit == 600
    error_message = "the gateway lets through what the survey's rate does"
  }
  assert {
    condition     = alltrue([for f in ["api", "refresh", "reap"] : aws_lambda_function.function[f].environment[0].variables["TERCET_LIMITS__SUBMISSIONS_PER_SECOND"] == "100"])
    error_message = "the functions count by the same number"
  }
  assert {
    condition     = output.concurrency_needed == 30
    error_message = "the operator learns how many instances the account needs"
  }
}

run "documents_are_in_the_table" {
  command = apply
  variables {
    documents = "tests/documents"
  }
  assert {
    condition     = toset(keys(aws_dynamodb_table_item.document)) == toset(["federation.json", "surveys/a.json"]) && jsondecode(aws_dynamodb_table_item.document["surveys/a.json"].item).pk.S == "document"
    error_message = "each document is an item"
  }
  assert {
    condition     = length(aws_dynamodb_table_item.documents_digest) == 1
    error_message = "the functions see that they have changed"
  }
}
