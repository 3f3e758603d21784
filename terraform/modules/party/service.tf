resource "aws_ecr_repository" "party" {
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
  log_options = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.party.name
      "awslogs-region"        = local.region
      "awslogs-stream-prefix" = "party"
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
      name      = "deployment"
      image     = var.helper_images.aws_cli
      essential = false
      # Root, because Fargate's volumes belong to root; without capabilities, and gone before the party starts.
      user       = "0:0"
      entryPoint = ["/bin/sh", "-ec"]
      command = [<<-SH
        mkdir -p /deployment/surveys
        aws s3 cp --recursive --only-show-errors s3://${aws_s3_bucket.store.id}/${local.deployment_prefix} /deployment/
      SH
      ]
      environment = [
        { name = "HOME", value = "/tmp" },
        { name = "AWS_REGION", value = local.region },
      ]
      mountPoints = [
        { sourceVolume = "deployment", containerPath = "/deployment", readOnly = false },
        { sourceVolume = "deployment-tmp", containerPath = "/tmp", readOnly = false },
      ]
    }),
    merge(local.confined, {
      name      = "party"
      image     = var.image
      essential = true
      user      = "65532:65532"
      dependsOn = [{ containerName = "deployment", condition = "SUCCESS" }]
      environment = [
        { name = "TERCET_PARTY_CONFIG", value = "/deployment/party.toml" },
        { name = "TERCET_LOG_JSON", value = "true" },
        { name = "TERCET_STOP_SECONDS", value = "100" },
        { name = "AWS_REGION", value = local.region },
      ]
      mountPoints  = [{ sourceVolume = "deployment", containerPath = "/deployment", readOnly = true }]
      portMappings = [for name, port in local.ports : { name = name, containerPort = port, protocol = "tcp" }]
      healthCheck = {
        command     = ["CMD", "/usr/bin/party-host", "healthcheck"]
        interval    = 10, timeout = 5, retries = 3
        startPeriod = 60
      }
      stopTimeout  = 120
      dockerLabels = { "org.tercet.engine" = coalesce(var.engine_digest, "none") }
      ulimits      = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    }),
    merge(local.confined, {
      name      = "metrics"
      image     = var.helper_images.collector
      essential = false
      dependsOn = [{ containerName = "party", condition = "START" }]
      environment = [
        { name = "AWS_REGION", value = local.region },
        { name = "AOT_CONFIG_CONTENT", value = local.collector },
      ]
    }),
  ]

  # Reads the party's metrics and writes the ones that alarms and dashboard use to CloudWatch, as log lines in its
  # embedded metric format.
  collector = yamlencode({
    receivers = { prometheus = { config = {
      global = { scrape_interval = "60s", scrape_timeout = "10s" }
      scrape_configs = [{
        job_name       = local.name
        static_configs = [{ targets = ["127.0.0.1:${local.ports.api}"], labels = { party = local.name } }]
      }]
    } } }
    exporters = { awsemf = {
      namespace               = local.metrics
      region                  = local.region
      log_group_name          = one(aws_cloudwatch_log_group.metrics[*].name)
      log_stream_name         = "party"
      dimension_rollup_option = "NoDimensionRollup"
      # Party and collector start together, and counters with them: the first value seen counts.
      retain_initial_value_of_delta_metric = true
      resource_to_telemetry_conversion = {
        enabled = false
      }
      metric_declarations = [for metric, dimension in local.exported : {
        metric_name_selectors = ["^${metric}$"]
        dimensions            = concat([["party"]], dimension == null ? [] : [["party", dimension]])
      }]
    } }
    service = {
      pipelines = { metrics = { receivers = ["prometheus"], exporters = ["awsemf"] } }
      telemetry = { logs = { level = "warn" } }
    }
  })
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
  dynamic "volume" {
    for_each = toset(["deployment", "deployment-tmp"])
    content {
      name = volume.value
    }
  }
}

resource "aws_ecs_service" "party" {
  count           = local.fargate
  name            = "party"
  cluster         = aws_ecs_cluster.party[0].id
  task_definition = aws_ecs_task_definition.party[0].arn
  launch_type     = "FARGATE"
  # One party is one process: a second one would be another party with the same name. The old one ends before the new
  # one starts.
  desired_count                      = 1
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  enable_execute_command             = false
  health_check_grace_period_seconds  = 120
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
      container_name   = "party"
      container_port   = load_balancer.value
      target_group_arn = aws_lb_target_group.party[load_balancer.key].arn
    }
  }
  depends_on = [aws_lb_listener.api, aws_lb_listener.peer, aws_iam_role_policy.task, aws_iam_role_policy.execution, aws_s3_object.config]
}
