locals {
  metrics = "Tercet/Party/${local.name}"
  ecs     = { ClusterName = local.name, ServiceName = "party" }

  # Counted in the log, so that they are there wherever the process runs.
  log_alarms = {
    aborts = { pattern = "{ $.fields.code = \"disagreement\" || $.fields.code = \"engine-abort\" || $.fields.code = \"split\" }", threshold = var.alarms.aborts, text = "A peer contradicts this party: it is faulty, or it cheats. The log line names it. Peers that are late, restart or catch up are not counted here" }
    errors = { pattern = "{ $.level = \"ERROR\" }", threshold = 0, text = "The party logged an error" }
  }
  # With the container: what it measures itself, and what ECS says about it.
  service_alarms = local.fargate == 0 ? {} : {
    height-lag  = { namespace = local.metrics, metric = "tercet_log_lag", dimensions = { party = local.name }, stat = "Maximum", periods = 3, threshold = var.alarms.lag, below = false, missing = "breaching", text = "This party's log stays behind its peers', or the party has sent no metrics" }
    certificate = { namespace = "AWS/CertificateManager", metric = "DaysToExpiry", dimensions = { CertificateArn = var.certificate_arn }, stat = "Minimum", periods = 1, threshold = 30, below = true, missing = "notBreaching", text = "The API's certificate ends within 30 days: why was it not renewed?" }
    memory      = { namespace = "AWS/ECS", metric = "MemoryUtilization", dimensions = local.ecs, stat = "Maximum", periods = 3, threshold = 85, below = false, missing = "breaching", text = "The party uses more than 85 % of its memory, or does not run" }
    cpu         = { namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = local.ecs, stat = "Average", periods = 6, threshold = 90, below = false, missing = "notBreaching", text = "The party has been busy for half an hour" }
    unhealthy   = { namespace = "AWS/NetworkELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = aws_lb.party[0].arn_suffix, TargetGroup = aws_lb_target_group.party["api"].arn_suffix }, stat = "Maximum", periods = 2, threshold = 0, below = false, missing = "notBreaching", text = "The party does not answer /readyz" }
  }
}

resource "aws_cloudwatch_log_group" "party" {
  name              = "/tercet/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.storage.arn
}

# ECS would make this group itself, without an end and without our key, and `destroy` would leave it behind.
resource "aws_cloudwatch_log_group" "insights" {
  #checkov:skip=CKV_AWS_338:Lines that CloudWatch has turned into metrics, which it keeps for 15 months.
  count             = local.fargate
  name              = local.insights_log
  retention_in_days = 30
  kms_key_id        = aws_kms_key.storage.arn
}

resource "aws_cloudwatch_log_metric_filter" "party" {
  for_each       = local.log_alarms
  name           = "${local.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.party.name
  pattern        = each.value.pattern
  metric_transformation {
    namespace     = local.metrics
    name          = each.key
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "log" {
  for_each            = local.log_alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = local.metrics
  metric_name         = each.key
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
}

resource "aws_cloudwatch_metric_alarm" "service" {
  for_each            = local.service_alarms
  alarm_name          = "${local.name}-${each.key}"
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
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
}

# A share of the task's disk: Container Insights has the two numbers, not their quotient.
resource "aws_cloudwatch_metric_alarm" "disk" {
  count               = local.fargate
  alarm_name          = "${local.name}-disk"
  alarm_description   = "The task uses more than 80 % of its disk"
  evaluation_periods  = 1
  threshold           = 80
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
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

resource "aws_cloudwatch_dashboard" "party" {
  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = [for i, w in [
    { title = "Log height", stat = "Maximum", metrics = [for m in ["tercet_log_height", "tercet_log_lag"] : [local.metrics, m, "party", local.name]] },
    { title = "Sessions that ended early", stat = "Sum", metrics = [[local.metrics, "aborts"], [local.metrics, "errors"]] },
    { title = "Releases and refusals", stat = "Sum", metrics = [for m in ["tercet_releases_total", "tercet_refusals_total"] : [local.metrics, m, "party", local.name]] },
    { title = "Submissions", stat = "Sum", metrics = [for o in ["accepted", "rejected"] : [local.metrics, "tercet_submissions_total", "outcome", o, "party", local.name]] },
    { title = "Memory and processor (%)", stat = "Maximum", metrics = [for m in ["MemoryUtilization", "CPUUtilization"] : ["AWS/ECS", m, "ClusterName", local.name, "ServiceName", "party"]] },
    { title = "Bucket (bytes)", stat = "Average", metrics = [["AWS/S3", "BucketSizeBytes", "BucketName", local.bucket, "StorageType", "StandardStorage", { period = 86400 }]] },
    ] : {
    type       = "metric", x = (i % 2) * 12, y = floor(i / 2) * 6, width = 12, height = 6
    properties = { title = w.title, stat = w.stat, period = 300, region = local.region, view = "timeSeries", metrics = w.metrics }
  }] })
}
