# One load balancer: HTTPS for providers and the coordinator ends there; the peer link passes through it, because its
# TLS authenticates both parties by pinned keys.

locals {
  ports = { api = 8080, peer = 7443 }
}

resource "aws_lb" "party" {
  #checkov:skip=CKV_AWS_91:Access logs would keep the addresses of people who take part.
  #checkov:skip=CKV2_AWS_20:There is no listener without TLS.
  #checkov:skip=CKV_AWS_150:It holds nothing: what `destroy` must not take is the bucket with its keys and secrets.
  #checkov:skip=CKV2_AWS_28:WAF guards application load balancers, not network ones; uploads need a ticket of the coordinator.
  count                            = local.fargate
  name                             = local.name
  load_balancer_type               = "network"
  internal                         = false
  subnets                          = aws_subnet.public[*].id
  security_groups                  = [aws_security_group.balancer[0].id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = false
}

resource "aws_lb_target_group" "party" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; between it and the task is the party's own network, and private parts are sealed to the party's key.
  for_each               = local.fargate == 1 ? local.ports : {}
  name                   = "${local.name}-${each.key}"
  port                   = each.value
  protocol               = "TCP"
  target_type            = "ip"
  vpc_id                 = aws_vpc.party[0].id
  deregistration_delay   = 60
  connection_termination = true
  preserve_client_ip     = false
  health_check {
    protocol = "HTTP"
    port     = local.ports.api
    path     = "/readyz"
    interval = 10
  }
}

resource "aws_lb_listener" "api" {
  count             = local.fargate
  load_balancer_arn = aws_lb.party[0].arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.party["api"].arn
  }
}

resource "aws_lb_listener" "peer" {
  #checkov:skip=CKV_AWS_2:The peer link's own TLS 1.3 passes through to the party.
  #checkov:skip=CKV_AWS_103:The same.
  count             = local.fargate
  load_balancer_arn = aws_lb.party[0].arn
  port              = local.ports.peer
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.party["peer"].arn
  }
}

resource "aws_route53_record" "domain" {
  count   = var.zone_id != null ? local.fargate : 0
  zone_id = var.zone_id
  name    = var.domain_name
  type    = "A"
  alias {
    name                   = aws_lb.party[0].dns_name
    zone_id                = aws_lb.party[0].zone_id
    evaluate_target_health = false
  }
}
