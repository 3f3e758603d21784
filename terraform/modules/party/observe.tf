locals {
  metrics = "Tercet/Party/${local.name}"
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
