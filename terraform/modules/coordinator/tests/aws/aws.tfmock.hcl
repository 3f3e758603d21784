# What AWS answers where the module, or the evaluation of its policies, reads it.

mock_data "aws_caller_identity" {
  defaults = { account_id = "444444444444" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws" }
}
mock_data "aws_region" {
  defaults = { id = "eu-central-1", name = "eu-central-1" }
}
mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:eu-central-1:444444444444:key/00000000-0000-0000-0000-000000000004", key_id = "00000000-0000-0000-0000-000000000004" }
}
mock_resource "aws_dynamodb_table" {
  defaults = { arn = "arn:aws:dynamodb:eu-central-1:444444444444:table/tercet-coordinator-registry" }
}
mock_resource "aws_secretsmanager_secret" {
  defaults = { arn = "arn:aws:secretsmanager:eu-central-1:444444444444:secret:tercet-coordinator/signing-key-AbCdEf" }
}
mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:444444444444:log-group:/aws/lambda/tercet-coordinator-api" }
}
mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::444444444444:role/tercet-coordinator-api" }
}
mock_resource "aws_lambda_function" {
  defaults = {
    arn        = "arn:aws:lambda:eu-central-1:444444444444:function:tercet-coordinator-api"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:444444444444:function:tercet-coordinator-api/invocations"
  }
}
mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:eu-central-1:444444444444:rule/tercet-coordinator-reap" }
}
mock_resource "aws_apigatewayv2_api" {
  defaults = { api_endpoint = "https://a1.execute-api.eu-central-1.amazonaws.com", execution_arn = "arn:aws:execute-api:eu-central-1:444444444444:a1" }
}
mock_resource "aws_api_gateway_rest_api" {
  defaults = { execution_arn = "arn:aws:execute-api:eu-central-1:444444444444:b2" }
}
mock_resource "aws_api_gateway_stage" {
  defaults = { arn = "arn:aws:apigateway:eu-central-1::/restapis/b2/stages/live", invoke_url = "https://b2.execute-api.eu-central-1.amazonaws.com/live" }
}
mock_resource "aws_apigatewayv2_domain_name" {
  defaults = { domain_name_configuration = { target_domain_name = "d-1.execute-api.eu-central-1.amazonaws.com", hosted_zone_id = "Z1" } }
}
mock_resource "aws_api_gateway_domain_name" {
  defaults = { regional_domain_name = "d-2.execute-api.eu-central-1.amazonaws.com", regional_zone_id = "Z2" }
}
mock_resource "aws_wafv2_web_acl" {
  defaults = { arn = "arn:aws:wafv2:eu-central-1:444444444444:regional/webacl/tercet-coordinator/1" }
}
mock_resource "aws_lambda_function_url" {
  defaults = { function_url = "https://x.lambda-url.eu-central-1.on.aws/" }
}
