# One load balancer: HTTPS ends there. A peer link, if there is one, passes through it, because its TLS authenticates both sides by pinned
# keys.

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:Access logs would keep the addresses of people who take part.
  #checkov:skip=CKV2_AWS_20:There is no listener without TLS.
  #checkov:skip=CKV_AWS_150:It holds nothing: what `destroy` must not take are buckets, keys and secrets.
  #checkov:skip=CKV2_AWS_28:WAF guards application load balancers, not network ones; what costs anything needs a ticket of the coordinator.
  name                             = var.name
  load_balancer_type               = "network"
  internal                         = false
  subnets                          = aws_subnet.public[*].id
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = false
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; between it and the task is the service's own network, and what is private is sealed to its key or is TLS to somebody else.
  for_each               = var.ports
  name                   = "${var.name}-${each.key}"
  port                   = each.value
  protocol               = "TCP"
  target_type            = "ip"
  vpc_id                 = aws_vpc.this.id
  deregistration_delay   = 60
  connection_termination = true
  preserve_client_ip     = var.preserve_client_ip
  health_check {
    protocol = "HTTP"
    port     = var.ports.api
    path     = "/readyz"
    interval = 10
  }
}

resource "aws_lb_listener" "api" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["api"].arn
  }
}

resource "aws_lb_listener" "peer" {
  count = contains(keys(var.ports), "peer") ? 1 : 0
  #checkov:skip=CKV_AWS_2:The peer link's own TLS 1.3 passes through to the task.
  #checkov:skip=CKV_AWS_103:The same.
  load_balancer_arn = aws_lb.this.arn
  port              = var.ports.peer
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["peer"].arn
  }
}

resource "aws_route53_record" "domain" {
  count   = var.zone_id != null ? 1 : 0
  zone_id = var.zone_id
  name    = var.domain_name
  type    = "A"
  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = false
  }
}
