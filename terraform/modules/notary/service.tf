resource "aws_ecr_repository" "notary" {
  #checkov:skip=CKV_AWS_136:Images are public programs; their digest, not their secrecy, matters.
  count                = local.fargate
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.destroy_data
  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "notary" {
  count      = local.fargate
  repository = aws_ecr_repository.notary[0].name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "Images that no tag names"
    selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 90 }
    action       = { type = "expire" }
  }] })
}

resource "aws_ecs_cluster" "notary" {
  count = local.fargate
  name  = local.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

locals {
  log_options = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.notary.name
      "awslogs-region"        = local.region
      "awslogs-stream-prefix" = "notary"
    }
  }
  # Every container: no privileges, a root file system that nobody can write to.
  confined = {
    readonlyRootFilesystem = true
    privileged             = false
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration       = local.log_options
  }

  containers = [
    merge(local.confined, {
      name      = "surveys"
      image     = var.aws_cli_image
      essential = false
      # Root, because Fargate's volumes belong to root; without capabilities, and gone before the notary starts.
      user       = "0:0"
      entryPoint = ["/bin/sh", "-ec"]
      command    = ["aws s3 cp --recursive --only-show-errors s3://${aws_s3_bucket.surveys.id}/${local.surveys_prefix} /surveys/"]
      environment = [
        { name = "HOME", value = "/tmp" },
        { name = "AWS_REGION", value = local.region },
      ]
      mountPoints = [
        { sourceVolume = "surveys", containerPath = "/surveys", readOnly = false },
        { sourceVolume = "surveys-tmp", containerPath = "/tmp", readOnly = false },
      ]
    }),
    merge(local.confined, {
      name      = "notary"
      image     = var.image
      essential = true
      user      = "65532:65532"
      dependsOn = [{ containerName = "surveys", condition = "SUCCESS" }]
      command   = ["run"]
      environment = [
        { name = "TERCET_NOTARY_LISTEN", value = "0.0.0.0:${local.ports.api}" },
        { name = "TERCET_NOTARY_KEY", value = aws_secretsmanager_secret.key.arn },
        { name = "TERCET_NOTARY_SURVEYS", value = "/surveys" },
        { name = "TERCET_NOTARY_COORDINATOR_KEYS", value = join(",", var.coordinator_keys) },
        { name = "TERCET_NOTARY_RESOLVERS", value = join(",", var.resolvers) },
        { name = "TERCET_NOTARY_SESSIONS", value = tostring(var.sessions.at_a_time) },
        { name = "TERCET_NOTARY_SESSIONS_BY_ADDRESS", value = tostring(var.sessions.by_address) },
        { name = "TERCET_NOTARY_SECONDS", value = tostring(var.sessions.seconds) },
        { name = "TERCET_LOG_JSON", value = "true" },
        { name = "TERCET_STOP_SECONDS", value = "100" },
        { name = "AWS_REGION", value = local.region },
      ]
      mountPoints  = [{ sourceVolume = "surveys", containerPath = "/surveys", readOnly = true }]
      portMappings = [for name, port in local.ports : { name = name, containerPort = port, protocol = "tcp" }]
      healthCheck = {
        command     = ["CMD", "/usr/bin/tercet-notary", "healthcheck"]
        interval    = 10, timeout = 5, retries = 3
        startPeriod = 30
      }
      stopTimeout = 120
      ulimits     = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    }),
  ]
}

resource "aws_ecs_task_definition" "notary" {
  #checkov:skip=CKV_AWS_97:There is no EFS volume.
  count                    = local.fargate
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task.cpu
  memory                   = var.task.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution[0].arn
  container_definitions    = jsonencode(local.containers)
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.task.architecture
  }
  dynamic "volume" {
    for_each = toset(["surveys", "surveys-tmp"])
    content {
      name = volume.value
    }
  }
}

resource "aws_ecs_service" "notary" {
  count           = local.fargate
  name            = "notary"
  cluster         = aws_ecs_cluster.notary[0].id
  task_definition = aws_ecs_task_definition.notary[0].arn
  launch_type     = "FARGATE"
  # One process: it remembers the tickets that were used. A second one would take them again.
  desired_count                      = 1
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  enable_execute_command             = false
  health_check_grace_period_seconds  = 60
  propagate_tags                     = "SERVICE"
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = aws_subnet.private[*].id
    security_groups  = [aws_security_group.task[0].id]
    assign_public_ip = false
  }
  dynamic "load_balancer" {
    for_each = local.ports
    content {
      container_name   = "notary"
      container_port   = load_balancer.value
      target_group_arn = aws_lb_target_group.notary[load_balancer.key].arn
    }
  }
  depends_on = [aws_lb_listener.api, aws_iam_role_policy.task, aws_iam_role_policy.execution]
}
