# The party's program, and what stands in front of it.

module "log" {
  source         = "../log"
  name           = local.name
  namespace      = local.metrics
  retention_days = var.log_retention_days
  kms_key_arn    = aws_kms_key.storage.arn
  topic_arns     = var.alarms.topic_arns
  counted = {
    aborts = { pattern = "{ $.fields.code = \"disagreement\" || $.fields.code = \"engine-abort\" || $.fields.code = \"split\" }", threshold = var.alarms.aborts, text = "A peer contradicts this party: it is faulty, or it cheats. The log line names it. Peers that are late, restart or catch up are not counted here" }
    errors = { pattern = "{ $.level = \"ERROR\" }", threshold = 0, text = "The party logged an error" }
  }
}

module "service" {
  source    = "../service"
  count     = local.fargate
  name      = local.name
  account   = local.account
  region    = local.region
  partition = local.partition
  container = {
    name = "party"
    environment = {
      TERCET_PARTY_CONFIG = "s3://${module.bucket.id}/${aws_s3_object.config.key}"
      # A changed configuration, or another text in var.restart, is another task definition, so `apply` restarts the party. Federation and surveys
      # are not in it: the party looks for new ones each minute.
      TERCET_RESTART = substr(sha256(jsonencode([var.restart, local.config])), 0, 16)
    }
    # With the address, so that it does not read the configuration from the bucket each time.
    health = ["/usr/bin/party-host", "healthcheck", "--at", "127.0.0.1:${local.ports.api}"]
    labels = { "org.tercet.engine" = coalesce(var.engine_digest, "none") }
  }
  image              = var.image
  started            = var.started
  task               = var.task
  task_role_arn      = aws_iam_role.task.arn
  after              = concat([aws_iam_role_policy.task.id, aws_s3_object.config.id], [for o in aws_s3_object.document : o.id])
  ports              = local.ports
  peer_cidrs         = var.peer_cidrs
  fixed_egress       = var.fixed_egress
  preserve_client_ip = false
  egress = {
    aws   = { protocol = "tcp", port = 443, why = "AWS's services and the coordinator" }
    peers = { protocol = "tcp", port = local.ports.peer, why = "The other parties" }
  }
  bucket_arn      = module.bucket.arn
  domain_name     = var.domain_name
  certificate_arn = var.certificate_arn
  zone_id         = var.zone_id
  vpc_cidr        = var.vpc_cidr
  log_group       = module.log.group
  kms_key_arn     = aws_kms_key.storage.arn
  topic_arns      = var.alarms.topic_arns
  force_delete    = var.destroy_data
  alarms = {
    # The party measures it itself.
    height-lag = { namespace = local.metrics, metric = "tercet_log_lag", dimensions = { party = local.name }, stat = "Maximum", periods = 3, threshold = var.alarms.lag, below = false, missing = "breaching", text = "This party's log stays behind its peers', or the party has sent no metrics" }
  }
}
