# A program's log, and alarms on lines that are counted in it. They are there wherever the process runs.

variable "name" {
  description = "Name of the program's deployment: the log is /tercet/NAME."
  type        = string
}

variable "namespace" {
  description = "CloudWatch's namespace of the counts."
  type        = string
}

variable "retention_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the log at rest."
  type        = string
}

variable "counted" {
  description = "Lines that raise an alarm when more than `threshold` of them come within five minutes."
  type        = map(object({ pattern = string, threshold = number, text = string }))
}

variable "topic_arns" {
  description = "Where alarms go (SNS topics)."
  type        = list(string)
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/tercet/${var.name}"
  retention_in_days = var.retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_log_metric_filter" "counted" {
  for_each       = var.counted
  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = each.value.pattern
  metric_transformation {
    namespace     = var.namespace
    name          = each.key
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "counted" {
  for_each            = var.counted
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = var.namespace
  metric_name         = each.key
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

output "group" {
  description = "The log."
  value       = aws_cloudwatch_log_group.this
}

output "alarms" {
  description = "The alarms, by what they count."
  value       = aws_cloudwatch_metric_alarm.counted
}
