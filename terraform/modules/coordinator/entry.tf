# What serves HTTPS. One of three, by `entry`.

locals {
  http = var.entry == "http" ? 1 : 0
  rest = var.entry == "rest" ? 1 : 0
  furl = var.entry == "function_url" ? 1 : 0
  # The custom domain belongs to the entry that is chosen.
  http_domain = var.domain_name != null ? local.http : 0
  rest_domain = var.domain_name != null ? local.rest : 0
  api         = aws_lambda_function.function["api"]
}

# HTTP API.

resource "aws_apigatewayv2_api" "http" {
  count                        = local.http
  name                         = var.name
  protocol_type                = "HTTP"
  disable_execute_api_endpoint = var.domain_name != null
}

resource "aws_apigatewayv2_integration" "http" {
  count                  = local.http
  api_id                 = aws_apigatewayv2_api.http[0].id
  integration_type       = "AWS_PROXY"
  integration_uri        = local.api.invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 30000
}

resource "aws_apigatewayv2_route" "http" {
  #checkov:skip=CKV_AWS_309:The API is public; who may do what is decided by proofs and tickets, in the program.
  count     = local.http
  api_id    = aws_apigatewayv2_api.http[0].id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.http[0].id}"
}

resource "aws_cloudwatch_log_group" "http" {
  count             = local.http
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_apigatewayv2_stage" "http" {
  count       = local.http
  api_id      = aws_apigatewayv2_api.http[0].id
  name        = "$default"
  auto_deploy = true
  default_route_settings {
    detailed_metrics_enabled = true
    throttling_rate_limit    = local.gateway_rate
    throttling_burst_limit   = 2 * local.gateway_rate
  }
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.http[0].arn
    # No addresses: who took part is nobody's business in a log that is kept for a year.
    format = jsonencode({
      id = "$context.requestId", method = "$context.httpMethod", status = "$context.status"
      ms = "$context.responseLatency", error = "$context.error.message", integration = "$context.integrationErrorMessage"
    })
  }
}

resource "aws_lambda_permission" "http" {
  count         = local.http
  statement_id  = "http-api"
  action        = "lambda:InvokeFunction"
  function_name = local.api.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.http[0].execution_arn}/*"
}

resource "aws_apigatewayv2_domain_name" "http" {
  count       = local.http_domain
  domain_name = var.domain_name
  domain_name_configuration {
    certificate_arn = var.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "http" {
  count       = local.http_domain
  api_id      = aws_apigatewayv2_api.http[0].id
  domain_name = aws_apigatewayv2_domain_name.http[0].id
  stage       = aws_apigatewayv2_stage.http[0].id
}

# REST API.

resource "aws_api_gateway_rest_api" "rest" {
  #checkov:skip=CKV_AWS_237:The deployment is replaced before it is deleted; the API itself keeps its id, which clients may use.
  count                        = local.rest
  name                         = var.name
  binary_media_types           = ["*/*"]
  disable_execute_api_endpoint = var.domain_name != null
  tags                         = var.rest_api_tags
  endpoint_configuration {
    types = ["REGIONAL"]
  }
  body = jsonencode({
    openapi = "3.0.1"
    info    = { title = var.name, version = "1" }
    paths = { for path, parameters in {
      "/"         = []
      "/{proxy+}" = [{ name = "proxy", in = "path", required = true, schema = { type = "string" } }]
      } : path => { "x-amazon-apigateway-any-method" = {
        parameters = parameters
        responses  = {}
        "x-amazon-apigateway-integration" = {
          type = "aws_proxy", httpMethod = "POST", uri = local.api.invoke_arn, passthroughBehavior = "when_no_match"
        }
    } } }
  })
}

resource "aws_api_gateway_deployment" "rest" {
  count       = local.rest
  rest_api_id = aws_api_gateway_rest_api.rest[0].id
  triggers    = { body = sha256(aws_api_gateway_rest_api.rest[0].body) }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "rest" {
  #checkov:skip=CKV_AWS_76:Access logs of REST APIs need a role for the whole account; the function logs each request itself.
  #checkov:skip=CKV2_AWS_4:The same: the function's own log has each request.
  #checkov:skip=CKV_AWS_120:What may be cached says so in Cache-Control; a cache in the gateway would serve tickets twice.
  #checkov:skip=CKV2_AWS_51:Clients are the public; they prove what they send, not who they are.
  #checkov:skip=CKV2_AWS_77:The same; and nothing here is Java.
  #checkov:skip=CKV2_AWS_29:The firewall is the operator's choice (variable waf).
  #checkov:skip=CKV_AWS_73:Traces are the operator's choice (variable tracing).
  count                = local.rest
  rest_api_id          = aws_api_gateway_rest_api.rest[0].id
  deployment_id        = aws_api_gateway_deployment.rest[0].id
  stage_name           = "live"
  xray_tracing_enabled = var.tracing
}

resource "aws_api_gateway_method_settings" "rest" {
  #checkov:skip=CKV_AWS_225:No cache, see the stage.
  #checkov:skip=CKV_AWS_308:No cache, see the stage.
  count       = local.rest
  rest_api_id = aws_api_gateway_rest_api.rest[0].id
  stage_name  = aws_api_gateway_stage.rest[0].stage_name
  method_path = "*/*"
  settings {
    metrics_enabled        = true
    data_trace_enabled     = false
    logging_level          = "OFF"
    throttling_rate_limit  = local.gateway_rate
    throttling_burst_limit = 2 * local.gateway_rate
  }
}

resource "aws_lambda_permission" "rest" {
  count         = local.rest
  statement_id  = "rest-api"
  action        = "lambda:InvokeFunction"
  function_name = local.api.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.rest[0].execution_arn}/*"
}

resource "aws_api_gateway_domain_name" "rest" {
  count                    = local.rest_domain
  domain_name              = var.domain_name
  regional_certificate_arn = var.certificate_arn
  security_policy          = "TLS_1_2"
  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_base_path_mapping" "rest" {
  count       = local.rest_domain
  api_id      = aws_api_gateway_rest_api.rest[0].id
  stage_name  = aws_api_gateway_stage.rest[0].stage_name
  domain_name = aws_api_gateway_domain_name.rest[0].domain_name
}

# Function URL: no throttle in front and no domain; for trying out.

resource "aws_lambda_function_url" "api" {
  #checkov:skip=CKV_AWS_258:The API is public; who may do what is decided by proofs and tickets, in the program.
  count              = local.furl
  function_name      = local.api.function_name
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "function_url" {
  #checkov:skip=CKV_AWS_301:A public API behind a function URL is what this entry is.
  count                  = local.furl
  statement_id           = "function-url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = local.api.function_name
  principal              = "*"
  function_url_auth_type = "NONE"
}

# The domain's record.

resource "aws_route53_record" "domain" {
  count   = var.zone_id != null ? 1 : 0
  zone_id = var.zone_id
  name    = var.domain_name
  type    = "A"
  alias {
    name = one(concat(
      aws_apigatewayv2_domain_name.http[*].domain_name_configuration[0].target_domain_name,
      aws_api_gateway_domain_name.rest[*].regional_domain_name,
    ))
    zone_id = one(concat(
      aws_apigatewayv2_domain_name.http[*].domain_name_configuration[0].hosted_zone_id,
      aws_api_gateway_domain_name.rest[*].regional_zone_id,
    ))
    evaluate_target_health = false
  }
}
