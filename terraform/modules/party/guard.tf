# Alarms on calls that could give somebody the party's powers, and on shares that are deleted for good. An administrator of the account can
# always change a policy or start another program under the party's role; no policy in the account prevents that. These
# rules make it seen, also by the other two operators if they subscribe to the topics.
# Source: docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html (a CloudTrail trail of management events must exist).

locals {
  # Encoded here, since the patterns have different shapes.
  watched = { for name, rule in local.rules : name => rule if length(var.alarms.topic_arns) > 0 && (rule.always || local.fargate == 1) }
  rules = {
    policies = {
      always = true
      text   = "Somebody changed who may use this party's keys, secrets, bucket or roles"
      pattern = jsonencode({
        "detail-type" = ["AWS API Call via CloudTrail"]
        detail = { "$or" = [
          { eventName = ["PutKeyPolicy", "ScheduleKeyDeletion", "DisableKey", "CreateGrant"], resources = { ARN = [aws_kms_key.shares.arn, aws_kms_key.storage.arn] } },
          { eventName = ["PutResourcePolicy", "DeleteResourcePolicy", "DeleteSecret"], requestParameters = { secretId = flatten([for s in aws_secretsmanager_secret.key : [s.arn, s.name]]) } },
          { eventName = ["PutBucketPolicy", "DeleteBucketPolicy", "PutBucketVersioning", "PutBucketLifecycle", "PutBucketNotification"], requestParameters = { bucketName = [local.bucket] } },
          { eventName = ["UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy"], requestParameters = { roleName = [aws_iam_role.task.name] } },
        ] }
      })
    }
    deletions = {
      # The party deletes by adding a marker, and old versions end by the lifecycle. Nobody is allowed anything else: an event means that the
      # bucket's policy was changed. docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
      always = true
      text   = "Somebody deleted stored shares for good"
      pattern = jsonencode({
        source        = ["aws.s3"]
        "detail-type" = ["Object Deleted"]
        detail = {
          bucket          = { name = [local.bucket] }
          object          = { key = [{ prefix = local.store_prefix }] }
          reason          = ["DeleteObject"]
          "deletion-type" = ["Permanently Deleted"]
        }
      })
    }
    programs = {
      always = false
      text   = "Somebody started or registered a program that may use this party's role"
      pattern = jsonencode({
        source        = ["aws.ecs"]
        "detail-type" = ["AWS API Call via CloudTrail"]
        detail = { "$or" = [
          { eventName = ["RunTask", "StartTask", "UpdateService", "CreateService"] },
          { eventName = ["RegisterTaskDefinition"], requestParameters = { taskRoleArn = [aws_iam_role.task.arn] } },
        ] }
      })
    }
  }
  targets = { for pair in setproduct(keys(local.watched), range(length(var.alarms.topic_arns))) : "${pair[0]}-${pair[1]}" => pair }
}

resource "aws_cloudwatch_event_rule" "guard" {
  for_each      = local.watched
  name          = "${local.name}-${each.key}"
  description   = each.value.text
  event_pattern = each.value.pattern
}

resource "aws_cloudwatch_event_target" "guard" {
  for_each = local.targets
  rule     = aws_cloudwatch_event_rule.guard[each.value[0]].name
  arn      = var.alarms.topic_arns[each.value[1]]
}
