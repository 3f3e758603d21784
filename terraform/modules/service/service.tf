# One container on Fargate: its images, its task, its service. Party and notary are two of these.

resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_163:ECR cannot scan an image without a distribution; the release has a bill of materials.
  #checkov:skip=CKV_AWS_136:Images are public programs; their digest, not their secrecy, matters.
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_delete
  # ECR's scanner reads distributions' package lists; the image has none. `cargo xtask sbom` lists what is in it.
  image_scanning_configuration {
    scan_on_push = false
  }
  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "Images that no tag names"
    selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 90 }
    action       = { type = "expire" }
  }] })
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

locals {
  # Non-blocking with 25 MB of memory: if CloudWatch Logs is away, the program works on, and lines are lost only after that.
  log_options = {
    logDriver = "awslogs"
    options = {
      "mode"                  = "non-blocking"
      "max-buffer-size"       = "25m"
      "awslogs-group"         = var.log_group.name
      "awslogs-region"        = var.region
      "awslogs-stream-prefix" = var.container.name
    }
  }
  container = merge({
    # No privileges, and a root file system that nobody can write to.
    readonlyRootFilesystem = true
    privileged             = false
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration       = local.log_options

    name      = var.container.name
    image     = coalesce(var.image, "${aws_ecr_repository.this.repository_url}:not-pushed-yet")
    essential = true
    user      = "65532:65532"
    environment = concat(
      [for name, value in var.container.environment : { name = name, value = value }],
      [{ name = "TERCET_LOG_JSON", value = "true" }, { name = "TERCET_STOP_SECONDS", value = "100" }, { name = "AWS_REGION", value = var.region }],
    )
    portMappings = [for name, port in var.ports : { name = name, containerPort = port, protocol = "tcp" }]
    # 300 seconds is the most that ECS takes.
    healthCheck  = { command = concat(["CMD"], var.container.health), interval = 10, timeout = 5, retries = 3, startPeriod = 300 }
    stopTimeout  = 120
    dockerLabels = var.container.labels
    ulimits      = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    }, { for name, value in { command = var.container.command } : name => value if length(value) > 0 },
  )
}

resource "aws_ecs_task_definition" "this" {
  #checkov:skip=CKV_AWS_97:There is no EFS volume.
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task.cpu
  memory                   = var.task.memory
  task_role_arn            = var.task_role_arn
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode([local.container])
  ephemeral_storage {
    size_in_gib = var.task.disk
  }
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.task.architecture
  }
  # ECS cannot start a revision again that was deregistered, and a rollback needs the one before.
  skip_destroy = true
}

resource "aws_ecs_service" "this" {
  name            = var.container.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this.arn
  launch_type     = "FARGATE"
  # One process, never two: a second party would be another party with the same name, and a second notary would take tickets again that the
  # first has seen. The old one ends before the new one starts.
  desired_count                      = var.started ? 1 : 0
  wait_for_steady_state              = var.started
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  enable_execute_command             = false
  # A party answers /healthz at once and /readyz when its log is loaded, which takes long after some years.
  health_check_grace_period_seconds = 3600
  availability_zone_rebalancing     = "DISABLED"
  propagate_tags                    = "SERVICE"
  # No rollback: the old program has ended by then, and `apply` must say that the new one does not run.
  deployment_circuit_breaker {
    enable   = true
    rollback = false
  }
  network_configuration {
    subnets          = var.fixed_egress ? aws_subnet.private[*].id : aws_subnet.public[*].id
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = !var.fixed_egress
  }
  dynamic "load_balancer" {
    for_each = var.ports
    content {
      container_name   = var.container.name
      container_port   = load_balancer.value
      target_group_arn = aws_lb_target_group.this[load_balancer.key].arn
    }
  }
  depends_on = [aws_lb_listener.api, aws_lb_listener.peer, aws_iam_role_policy.execution, aws_cloudwatch_log_group.insights, var.after]
}
