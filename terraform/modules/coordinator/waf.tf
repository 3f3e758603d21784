resource "aws_wafv2_web_acl" "rest" {
  #checkov:skip=CKV2_AWS_31:Logs of the firewall hold addresses of people who take part; the metrics say what it does.
  count = var.waf.enabled ? 1 : 0
  name  = var.name
  scope = "REGIONAL"
  default_action {
    allow {}
  }

  rule {
    name     = "address"
    priority = 0
    action {
      block {}
    }
    statement {
      rate_based_statement {
        limit              = var.waf.requests_per_address
        aggregate_key_type = "IP"
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-address"
      sampled_requests_enabled   = false
    }
  }

  # Submissions are large and their text is not HTML: only the rules against known attacks on servers.
  dynamic "rule" {
    for_each = ["AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesAmazonIpReputationList"]
    content {
      name     = rule.value
      priority = rule.key + 1
      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.value
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.value}"
        sampled_requests_enabled   = false
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "rest" {
  count        = var.waf.enabled ? 1 : 0
  resource_arn = aws_api_gateway_stage.rest[0].arn
  web_acl_arn  = aws_wafv2_web_acl.rest[0].arn
}
