# One load balancer: HTTPS of providers ends there. It keeps their addresses, by which the notary limits sessions; nothing
# stores them.

locals {
  ports = { api = 8090 }
}

resource "aws_lb" "notary" {
  #checkov:skip=CKV_AWS_91:Access logs would keep the addresses of people who take part.
  #checkov:skip=CKV2_AWS_20:There is no listener without TLS.
  #checkov:skip=CKV_AWS_150:It holds nothing: what `destroy` must not take is the secret with the key.
  #checkov:skip=CKV2_AWS_28:WAF guards application load balancers, not network ones; sessions need a ticket of the coordinator, and are limited by address.
  count                            = local.fargate
  name                             = local.name
  load_balancer_type               = "network"
  internal                         = false
  subnets                          = aws_subnet.public[*].id
  security_groups                  = [aws_security_group.balancer[0].id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = false
}

resource "aws_lb_target_group" "notary" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; between it and the task is the notary's own network, and what passes is TLS between provider and server.
  for_each               = local.fargate == 1 ? local.ports : {}
  name                   = "${local.name}-${each.key}"
  port                   = each.value
  protocol               = "TCP"
  target_type            = "ip"
  vpc_id                 = aws_vpc.notary[0].id
  deregistration_delay   = 60
  connection_termination = true
  preserve_client_ip     = true
  health_check {
    protocol = "HTTP"
    port     = local.ports.api
    path     = "/readyz"
    interval = 10
  }
}

resource "aws_lb_listener" "api" {
  count             = local.fargate
  load_balancer_arn = aws_lb.notary[0].arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.notary["api"].arn
  }
}

resource "aws_route53_record" "domain" {
  count   = var.zone_id != null ? local.fargate : 0
  zone_id = var.zone_id
  name    = var.domain_name
  type    = "A"
  alias {
    name                   = aws_lb.notary[0].dns_name
    zone_id                = aws_lb.notary[0].zone_id
    evaluate_target_health = false
  }
}
