resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.functions
  name              = "/aws/lambda/${each.value.full_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_iam_role" "function" {
  for_each = local.functions
  name     = each.value.full_name
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions
  name     = "function"
  role     = aws_iam_role.function[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Registry"
        Effect   = "Allow"
        Action   = each.value.actions
        Resource = local.table_arn
      },
      {
        # Documents are what the operator puts there: no request makes a function write them.
        Sid       = "NotTheDocuments"
        Effect    = "Deny"
        NotAction = ["dynamodb:GetItem", "dynamodb:Query"]
        Resource  = local.table_arn
        Condition = { "ForAnyValue:StringEquals" = { "dynamodb:LeadingKeys" = ["document"] } }
      },
      {
        Sid      = "TicketKey"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.signing_key.arn
      },
      {
        Sid      = "OpenThem"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:DescribeKey"]
        Resource = aws_kms_key.main.arn
        Condition = { StringEquals = { "kms:ViaService" = [
          "dynamodb.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com",
        ] } }
      },
      {
        Sid      = "OwnLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.function[each.key].arn}:*"
      },
      ], var.tracing ? [{
        Sid      = "Traces"
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        Resource = "*" # X-Ray has no resources to name.
    }] : [])
  })
}

resource "aws_lambda_function" "function" {
  #checkov:skip=CKV_AWS_116:The API is called synchronously; a failed refresh or reap is repeated by the next tick, so no event is worth keeping.
  #checkov:skip=CKV_AWS_117:The functions reach only DynamoDB, Secrets Manager and the parties' public HTTPS; a VPC would add NAT and nothing else.
  #checkov:skip=CKV_AWS_173:The environment holds no secret (checked by the settings variable's rules and the module's tests).
  #checkov:skip=CKV_AWS_272:The zip's digest is fixed by source_code_hash and the build is reproducible; a signing profile would sign the same digest.
  #checkov:skip=CKV_AWS_50:Traces are the operator's choice (variable tracing).
  for_each                       = local.functions
  function_name                  = each.value.full_name
  description                    = "Tercet coordinator: ${each.key}"
  role                           = aws_iam_role.function[each.key].arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.lambda_architecture]
  filename                       = var.lambda_zip[each.key]
  source_code_hash               = filebase64sha256(var.lambda_zip[each.key])
  memory_size                    = each.value.memory
  timeout                        = each.value.timeout
  reserved_concurrent_executions = each.value.concurrency

  environment {
    variables = merge(
      {
        TERCET_LIMITS__SUBMISSIONS_PER_SECOND = local.submissions_per_second
      },
      local.url == null ? {} : { TERCET_PUBLIC_URL = local.url },
      var.settings,
      {
        TERCET_FUNCTION           = each.key
        TERCET_TABLE              = aws_dynamodb_table.registry.name
        TERCET_SIGNING_KEY_SECRET = aws_secretsmanager_secret.signing_key.arn
      },
    )
  }
  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }
  logging_config {
    # The program writes JSON itself.
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_cloudwatch_event_rule" "tick" {
  for_each            = local.scheduled
  name                = local.functions[each.key].full_name
  description         = "Runs ${each.key}"
  schedule_expression = each.value
}

resource "aws_cloudwatch_event_target" "tick" {
  for_each = local.scheduled
  rule     = aws_cloudwatch_event_rule.tick[each.key].name
  arn      = aws_lambda_function.function[each.key].arn
  input    = "{}"
}

resource "aws_lambda_permission" "tick" {
  for_each      = local.scheduled
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.tick[each.key].arn
}

# A tick that failed or waited is not repeated: the next one does the same work.
resource "aws_lambda_function_event_invoke_config" "tick" {
  for_each                     = local.scheduled
  function_name                = aws_lambda_function.function[each.key].function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}
