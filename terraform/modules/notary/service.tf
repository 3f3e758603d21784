# The notary's program, and what stands in front of it. It keeps the addresses of those who connect, by which it limits sessions; nothing
# stores them.

locals {
  ports = { api = 8090 }
}

module "log" {
  source         = "../log"
  name           = local.name
  namespace      = "Tercet/Notary/${local.name}"
  retention_days = var.log_retention_days
  kms_key_arn    = aws_kms_key.storage.arn
  topic_arns     = var.alarm_topic_arns
  counted        = { errors = { pattern = "{ $.level = \"ERROR\" }", threshold = 0, text = "The notary logged an error" } }
}

module "service" {
  source    = "../service"
  count     = local.fargate
  name      = local.name
  account   = local.account
  region    = local.region
  partition = local.partition
  container = {
    name    = "notary"
    command = ["run"]
    environment = {
      TERCET_NOTARY_LISTEN              = "0.0.0.0:${local.ports.api}"
      TERCET_NOTARY_KEY                 = aws_secretsmanager_secret.key.arn
      TERCET_NOTARY_SURVEYS             = "s3://${module.bucket.id}/${trimsuffix(local.surveys_prefix, "/")}"
      TERCET_NOTARY_COORDINATOR_KEYS    = join(",", var.coordinator_keys)
      TERCET_NOTARY_RESOLVERS           = join(",", var.resolvers)
      TERCET_NOTARY_SESSIONS            = tostring(var.sessions.at_a_time)
      TERCET_NOTARY_SESSIONS_BY_ADDRESS = tostring(var.sessions.by_address)
      TERCET_NOTARY_SECONDS             = tostring(var.sessions.seconds)
      # Another text is another task definition, so `apply` restarts the notary.
      TERCET_RESTART = var.restart
    }
    health = ["/usr/bin/tercet-notary", "healthcheck"]
  }
  image              = var.image
  started            = var.started
  task               = var.task
  task_role_arn      = aws_iam_role.task.arn
  after              = [aws_iam_role_policy.task.id]
  ports              = local.ports
  fixed_egress       = var.fixed_egress
  preserve_client_ip = true
  # What the task sends leaves through one address: it is the one from which servers see their visitors come.
  egress = {
    servers   = { protocol = "tcp", port = 443, why = "The surveys' servers, and AWS's services" }
    names-udp = { protocol = "udp", port = 53, why = "Resolvers of names" }
    names-tcp = { protocol = "tcp", port = 53, why = "Resolvers of names" }
  }
  bucket_arn      = module.bucket.arn
  domain_name     = var.domain_name
  certificate_arn = var.certificate_arn
  zone_id         = var.zone_id
  vpc_cidr        = var.vpc_cidr
  log_group       = module.log.group
  kms_key_arn     = aws_kms_key.storage.arn
  topic_arns      = var.alarm_topic_arns
  force_delete    = var.destroy_data
}
