# What is watched of every service. ECS and the load balancer measure it.

locals {
  ecs = { ClusterName = var.name, ServiceName = var.container.name }
  alarms = merge({
    certificate = { namespace = "AWS/CertificateManager", metric = "DaysToExpiry", dimensions = { CertificateArn = var.certificate_arn }, stat = "Minimum", periods = 1, threshold = 30, below = true, missing = "notBreaching", text = "The API's certificate ends within 30 days: why was it not renewed?" }
    memory      = { namespace = "AWS/ECS", metric = "MemoryUtilization", dimensions = local.ecs, stat = "Maximum", periods = 3, threshold = 85, below = false, missing = "breaching", text = "The program uses more than 85 % of its memory, or does not run" }
    cpu         = { namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = local.ecs, stat = "Average", periods = 6, threshold = 90, below = false, missing = "notBreaching", text = "The program has been busy for half an hour" }
    unhealthy   = { namespace = "AWS/NetworkELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.this["api"].arn_suffix }, stat = "Maximum", periods = 2, threshold = 0, below = false, missing = "notBreaching", text = "The program does not answer /readyz" }
  }, var.alarms)
}

# ECS would make this group itself, without an end and without our key, and `destroy` would leave it behind.
resource "aws_cloudwatch_log_group" "insights" {
  #checkov:skip=CKV_AWS_338:Lines that CloudWatch has turned into metrics, which it keeps for 15 months.
  name              = "/aws/ecs/containerinsights/${var.name}/performance"
  retention_in_days = 30
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_metric_alarm" "service" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.stat
  period              = each.key == "certificate" ? 86400 : 300
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = each.value.below ? "LessThanThreshold" : "GreaterThanThreshold"
  treat_missing_data  = each.value.missing
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

# A share of the task's disk: Container Insights has the two numbers, not their quotient.
resource "aws_cloudwatch_metric_alarm" "disk" {
  alarm_name          = "${var.name}-disk"
  alarm_description   = "The task uses more than 80 % of its disk"
  evaluation_periods  = 1
  threshold           = 80
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
  metric_query {
    id          = "share"
    expression  = "100 * used / reserved"
    label       = "Disk used, %"
    return_data = true
  }
  dynamic "metric_query" {
    for_each = { used = "EphemeralStorageUtilized", reserved = "EphemeralStorageReserved" }
    content {
      id = metric_query.key
      metric {
        namespace   = "ECS/ContainerInsights"
        metric_name = metric_query.value
        dimensions  = local.ecs
        stat        = "Maximum"
        period      = 300
      }
    }
  }
}

# A deployment that fails leaves the service down until somebody acts.
resource "aws_cloudwatch_event_rule" "deployment" {
  count       = length(var.topic_arns) > 0 ? 1 : 0
  name        = "${var.name}-deployment"
  description = "A deployment failed: the program does not run"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Deployment State Change"]
    resources     = [aws_ecs_service.this.id]
    detail        = { eventName = ["SERVICE_DEPLOYMENT_FAILED"] }
  })
}

resource "aws_cloudwatch_event_target" "deployment" {
  for_each = { for i, arn in var.topic_arns : i => arn }
  rule     = aws_cloudwatch_event_rule.deployment[0].name
  arn      = each.value
}
