# Alarms on calls that could give somebody the party's powers, and on deployments that fail. An administrator of the account can
# always change a policy or start another program under the party's role; no policy in the account prevents that. These
# rules make it seen, also by the other two operators if they subscribe to the topics.
# Sources: docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html and
# docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html (a CloudTrail trail of management events must exist).

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
          { eventName = ["PutBucketPolicy", "DeleteBucketPolicy", "PutBucketVersioning", "PutBucketLifecycle"], requestParameters = { bucketName = [aws_s3_bucket.store.id] } },
          { eventName = ["UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy"], requestParameters = { roleName = [aws_iam_role.task.name] } },
        ] }
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
    deployment = {
      always = false
      text   = "A deployment of the party failed: the party does not run"
      pattern = jsonencode({
        source        = ["aws.ecs"]
        "detail-type" = ["ECS Deployment State Change"]
        resources     = aws_ecs_service.party[*].id
        detail        = { eventName = ["SERVICE_DEPLOYMENT_FAILED"] }
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
