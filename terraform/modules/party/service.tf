resource "aws_ecr_repository" "party" {
  #checkov:skip=CKV_AWS_163:ECR cannot scan an image without a distribution; the release has a bill of materials.
  #checkov:skip=CKV_AWS_136:Images are public programs; their digest, not their secrecy, matters.
  count                = local.fargate
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.destroy_data
  # ECR's scanner reads distributions' package lists; the image has none. `cargo xtask sbom` lists what is in it.
  image_scanning_configuration {
    scan_on_push = false
  }
  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "party" {
  count      = local.fargate
  repository = aws_ecr_repository.party[0].name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "Images that no tag names"
    selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 90 }
    action       = { type = "expire" }
  }] })
}

resource "aws_ecs_cluster" "party" {
  count = local.fargate
  name  = local.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

locals {
  # Non-blocking with 25 MB of memory: if CloudWatch Logs is away, the party works on, and lines are lost only after that.
  log_options = {
    logDriver = "awslogs"
    options = {
      "mode"                  = "non-blocking"
      "max-buffer-size"       = "25m"
      "awslogs-group"         = aws_cloudwatch_log_group.party.name
      "awslogs-region"        = local.region
      "awslogs-stream-prefix" = "party"
    }
  }
  # No privileges, and a root file system that nobody can write to.
  confined = {
    readonlyRootFilesystem = true
    privileged             = false
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration       = local.log_options
  }

  containers = [
    merge(local.confined, {
      name      = "party"
      image     = local.image
      essential = true
      user      = "65532:65532"
      environment = [
        { name = "TERCET_PARTY_CONFIG", value = "s3://${aws_s3_bucket.store.id}/${aws_s3_object.config.key}" },
        { name = "TERCET_LOG_JSON", value = "true" },
        { name = "TERCET_STOP_SECONDS", value = "100" },
        { name = "AWS_REGION", value = local.region },
        # A changed document, or another text in var.restart, is another task definition, so `apply` restarts the party.
        { name = "TERCET_RESTART", value = substr(sha256(jsonencode([var.restart, local.config, local.documents])), 0, 16) },
      ]
      portMappings = [for name, port in local.ports : { name = name, containerPort = port, protocol = "tcp" }]
      healthCheck = {
        # With the address, so that it does not read the configuration from the bucket each time.
        command     = ["CMD", "/usr/bin/party-host", "healthcheck", "--at", "127.0.0.1:${local.ports.api}"]
        interval    = 10, timeout = 5, retries = 3
        startPeriod = 300
      }
      stopTimeout  = 120
      dockerLabels = { "org.tercet.engine" = coalesce(var.engine_digest, "none") }
      ulimits      = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    }),
  ]

  # Until the first push there is no digest. A service that is not started never fetches this image.
  image = coalesce(var.image, "${try(aws_ecr_repository.party[0].repository_url, local.name)}:not-pushed-yet")
}

resource "aws_ecs_task_definition" "party" {
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

resource "aws_ecs_service" "party" {
  count           = local.fargate
  name            = "party"
  cluster         = aws_ecs_cluster.party[0].id
  task_definition = aws_ecs_task_definition.party[0].arn
  launch_type     = "FARGATE"
  # One party is one process: a second one would be another party with the same name. The old one ends before the new
  # one starts.
  desired_count                      = var.started ? 1 : 0
  wait_for_steady_state              = var.started
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  enable_execute_command             = false
  # The party answers /healthz at once and /readyz when its log is loaded, which takes long after some years.
  health_check_grace_period_seconds = 3600
  availability_zone_rebalancing     = "DISABLED"
  propagate_tags                    = "SERVICE"
  # No rollback: the old program has ended by then, and `apply` must say that the new one does not run.
  deployment_circuit_breaker {
    enable   = true
    rollback = false
  }
  network_configuration {
    subnets          = aws_subnet.private[*].id
    security_groups  = [aws_security_group.task[0].id]
    assign_public_ip = false
  }
  dynamic "load_balancer" {
    for_each = local.ports
    content {
      container_name   = "party"
      container_port   = load_balancer.value
      target_group_arn = aws_lb_target_group.party[load_balancer.key].arn
    }
  }
  depends_on = [aws_lb_listener.api, aws_lb_listener.peer, aws_iam_role_policy.task, aws_iam_role_policy.execution, aws_s3_object.config, aws_s3_object.document, aws_cloudwatch_log_group.insights]
}
