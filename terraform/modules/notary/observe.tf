# What is watched: that the notary answers, that it logs no error, that its certificate is renewed. Logs hold no address of
# anybody who takes part.

locals {
  ecs = { ClusterName = local.name, ServiceName = "notary" }
  service_alarms = local.fargate == 0 ? {} : {
    unhealthy   = { namespace = "AWS/NetworkELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = aws_lb.notary[0].arn_suffix, TargetGroup = aws_lb_target_group.notary["api"].arn_suffix }, stat = "Maximum", periods = 2, threshold = 0, below = false, missing = "notBreaching", text = "The notary does not answer /readyz" }
    certificate = { namespace = "AWS/CertificateManager", metric = "DaysToExpiry", dimensions = { CertificateArn = var.certificate_arn }, stat = "Minimum", periods = 1, threshold = 30, below = true, missing = "notBreaching", text = "The notary's certificate ends within 30 days: why was it not renewed?" }
    memory      = { namespace = "AWS/ECS", metric = "MemoryUtilization", dimensions = local.ecs, stat = "Maximum", periods = 3, threshold = 85, below = false, missing = "breaching", text = "The notary uses more than 85 % of its memory, or does not run" }
  }
}

resource "aws_cloudwatch_log_group" "notary" {
  name              = "/tercet/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.storage.arn
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "${local.name}-errors"
  log_group_name = aws_cloudwatch_log_group.notary.name
  pattern        = "{ $.level = \"ERROR\" }"
  metric_transformation {
    namespace     = "Tercet/Notary/${local.name}"
    name          = "errors"
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${local.name}-errors"
  alarm_description   = "The notary logged an error"
  namespace           = "Tercet/Notary/${local.name}"
  metric_name         = "errors"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "service" {
  for_each            = local.service_alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.stat
  period              = 300
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = each.value.below ? "LessThanThreshold" : "GreaterThanThreshold"
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
