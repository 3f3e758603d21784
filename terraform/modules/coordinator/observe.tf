locals {
  metrics = "Tercet/Coordinator"
  # What the API counts itself (coordinator-lambda/README.md).
  api_counts = { Function = "api" }

  function_alarms = { for pair in setproduct(keys(local.functions), ["Errors", "Throttles"]) :
    "${pair[0]}-${lower(pair[1])}" => {
      # A tick that meets one which still runs is turned away if one instance is reserved, and the next tick does its work.
      namespace  = "AWS/Lambda", metric = pair[1], threshold = pair[0] == "api" || pair[1] == "Errors" ? 0 : 4
      dimensions = { FunctionName = local.functions[pair[0]].full_name }
      text       = "${pair[0]}: ${pair[1] == "Errors" ? "invocations failed; its log says why" : "invocations were turned away: raise its reserved concurrency or the account's"}"
    }
  }
  table_alarms = { for metric in ["ReadThrottleEvents", "WriteThrottleEvents", "SystemErrors"] :
    "table-${lower(metric)}" => {
      namespace  = "AWS/DynamoDB", metric = metric, threshold = 0
      dimensions = { TableName = aws_dynamodb_table.registry.name }
      text       = "The registry's table: ${metric}"
    }
  }
  counted_alarms = {
    refusals = { namespace = local.metrics, metric = "RateLimited", threshold = var.alarms.refusals, dimensions = local.api_counts, text = "Requests over the limits (429): an attack, limits that are too tight, or parties that decide too slowly" }
    failures = { namespace = local.metrics, metric = "Errors", threshold = 0, dimensions = local.api_counts, text = "Requests that failed inside the coordinator (5xx): see the log for \"request failed\"" }
  }
  # What the gateway answers itself, for example when no function's instance is free: the functions never see those.
  # docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html and api-gateway-metrics-and-dimensions.html
  gateway_alarms = merge(
    { for api in aws_apigatewayv2_api.http[*] : "gateway" => { namespace = "AWS/ApiGateway", metric = "5xx", threshold = 0, dimensions = { ApiId = api.id }, text = local.gateway_text } },
    { for api in aws_api_gateway_rest_api.rest[*] : "gateway" => { namespace = "AWS/ApiGateway", metric = "5XXError", threshold = 0, dimensions = { ApiName = api.name }, text = local.gateway_text } },
  )
  gateway_text = "The gateway answered 5xx: no function's instance was free (raise the account's limit or reserve some), or a function failed"
  all_alarms   = merge(local.function_alarms, local.table_alarms, local.counted_alarms, local.gateway_alarms)
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each            = local.all_alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
}

# A schedule that stands still shows in no error.
resource "aws_cloudwatch_metric_alarm" "silent" {
  for_each            = local.scheduled
  alarm_name          = "${var.name}-${each.key}-silent"
  alarm_description   = "${each.key} has not run: is its schedule enabled, and may EventBridge invoke it?"
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = local.functions[each.key].full_name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = [for i, w in [
    { title = "Requests", stat = "Sum", metrics = [for m in ["Requests", "Refusals", "RateLimited", "Errors"] : [local.metrics, m, "Function", "api"]] },
    { title = "Duration of the API (ms)", stat = "p99", metrics = [
      ["AWS/Lambda", "Duration", "FunctionName", local.functions["api"].full_name, { stat = "p50" }],
      ["AWS/Lambda", "Duration", "FunctionName", local.functions["api"].full_name],
    ] },
    { title = "Instances", stat = "Maximum", metrics = [for f in local.functions : ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", f.full_name]] },
    { title = "Errors and throttles", stat = "Sum", metrics = flatten([for f in local.functions : [for m in ["Errors", "Throttles"] : [["AWS/Lambda", m, "FunctionName", f.full_name]]]]) },
    { title = "Table: capacity used", stat = "Sum", metrics = [for m in ["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"] : ["AWS/DynamoDB", m, "TableName", aws_dynamodb_table.registry.name]] },
    { title = "Table: throttles", stat = "Sum", metrics = [for m in ["ReadThrottleEvents", "WriteThrottleEvents"] : ["AWS/DynamoDB", m, "TableName", aws_dynamodb_table.registry.name]] },
    ] : {
    type       = "metric", x = (i % 2) * 12, y = floor(i / 2) * 6, width = 12, height = 6
    properties = { title = w.title, stat = w.stat, period = 60, region = local.region, view = "timeSeries", metrics = w.metrics }
  }] })
}
