output "url" {
  description = "Base URL of the API: what the federation lists as the coordinator's."
  value = coalesce(local.url, one(concat(
    aws_apigatewayv2_api.http[*].api_endpoint,
    aws_api_gateway_stage.rest[*].invoke_url,
    [for u in aws_lambda_function_url.api : trimsuffix(u.function_url, "/")],
  )))
}

output "rest_api" {
  description = "Id and stage of the REST API; null with another entry."
  value       = one([for s in aws_api_gateway_stage.rest : { id = s.rest_api_id, stage = s.stage_name }])
}

output "domain_target" {
  description = "Where the domain's CNAME or alias must point when zone_id is not given."
  value = one(concat(
    [for d in aws_apigatewayv2_domain_name.http : d.domain_name_configuration[0].target_domain_name],
    aws_api_gateway_domain_name.rest[*].regional_domain_name,
  ))
}

output "table_name" {
  description = "The registry's table."
  value       = aws_dynamodb_table.registry.name
}

output "function_names" {
  description = "Names of the functions, by function."
  value       = { for name, f in aws_lambda_function.function : name => f.function_name }
}

output "role_arns" {
  description = "Roles of the functions, by function."
  value       = { for name, r in aws_iam_role.function : name => r.arn }
}

output "secret_arns" {
  description = "Secrets to fill with `tercet coordinator store`, by use."
  value       = { signing_key = aws_secretsmanager_secret.signing_key.arn }
}

output "kms_key_arn" {
  description = "Key of table, secret and logs."
  value       = aws_kms_key.main.arn
}

output "concurrency_needed" {
  description = "Lambda instances that the account must be able to run at once for submissions_per_second. A new account has ten: ask AWS for a higher limit (Service Quotas, \"Concurrent executions\")."
  value       = local.concurrency_needed
}
