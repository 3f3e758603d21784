# What an operator's account needs before anything else is applied there: a place for Terraform's state, a topic for alarms, and the
# certificate of the domain. Applied once, with local state, by environments/aws/bootstrap.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  name      = "tercet-${var.operator}"
  topic_arn = "arn:${local.partition}:sns:${local.region}:${local.account}:${local.name}-alarms"
}

# Terraform's state. It holds no secret: the keys are put into Secrets Manager by `tercet operator store`. A bucket that holds a state stays
# when everything else is destroyed.
module "state" {
  source          = "../bucket"
  name            = coalesce(var.state_bucket, "${local.name}-state-${local.account}")
  force_destroy   = false
  noncurrent_days = 365
}

# Where alarms go. Not encrypted with a key of the account: CloudWatch and EventBridge could not use it without a grant, and an
# alarm's text is no secret.
resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:See above.
  name = "${local.name}-alarms"
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "AlarmsAndEventsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com"] }
        Action    = "sns:Publish"
        Resource  = local.topic_arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      ], length(var.watchers) == 0 ? [] : [
      {
        # The other operators may listen, so that a change of this account's policies does not stay in this account.
        Sid       = "OtherOperatorsListen"
        Effect    = "Allow"
        Principal = { AWS = [for account in var.watchers : "arn:${local.partition}:iam::${account}:root"] }
        Action    = ["sns:Subscribe", "sns:GetTopicAttributes"]
        Resource  = local.topic_arn
      },
    ])
  })
}

resource "aws_sns_topic_subscription" "mail" {
  for_each  = toset(var.emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# A load balancer refuses a certificate that is not issued yet, so this waits for the validation.
resource "aws_acm_certificate" "domain" {
  count             = var.domain_name == null ? 0 : 1
  domain_name       = var.domain_name
  validation_method = "DNS"
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = var.domain_name == null || var.zone_id == null ? {} : {
    for option in aws_acm_certificate.domain[0].domain_validation_options : option.domain_name => option
  }
  zone_id = var.zone_id
  name    = each.value.resource_record_name
  type    = each.value.resource_record_type
  records = [each.value.resource_record_value]
  ttl     = 300
}

resource "aws_acm_certificate_validation" "domain" {
  count                   = var.domain_name == null || var.zone_id == null ? 0 : 1
  certificate_arn         = aws_acm_certificate.domain[0].arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}
