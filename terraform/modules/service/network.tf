# A network of the service's own: the load balancer in public subnets, and the task in private ones, from which what it sends leaves through
# one NAT address that others know it by. A second NAT gateway, for the case that a zone fails, would cost as much as all the rest of the
# network. Without a fixed address there is no NAT gateway: the task is in the public subnets and has an address of its own, which changes with
# each deployment. Its security group lets nobody but the load balancer in, in either case.

locals {
  private = var.fixed_egress ? 1 : 0
}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The zones are taken once: subnets ignore later changes of the list.
  state = "available"
  # Without Local Zones, which have neither NAT gateways nor network load balancers of this kind.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:Flow logs would keep the addresses of people who take part; alarms watch the service itself.
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# The default group admits its members to each other; empty, it admits nobody.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "public" {
  count             = 2
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)
  availability_zone = data.aws_availability_zones.available.names[count.index]
  tags              = { Name = "${var.name}-public-${count.index}" }
  lifecycle {
    # A zone that AWS adds must not move the service.
    ignore_changes = [availability_zone]
  }
}

resource "aws_subnet" "private" {
  count             = local.private * 2
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index + 2)
  availability_zone = data.aws_availability_zones.available.names[count.index]
  tags              = { Name = "${var.name}-private-${count.index}" }
  lifecycle {
    # A zone that AWS adds must not move the service.
    ignore_changes = [availability_zone]
  }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_eip" "nat" {
  count  = local.private
  domain = "vpc"
  tags   = { Name = "${var.name}-egress" }
}

resource "aws_nat_gateway" "this" {
  count         = local.private
  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id
  tags          = { Name = var.name }
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table" "private" {
  count  = local.private
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route" "private" {
  count                  = local.private
  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count          = 2
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  count          = local.private * 2
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[0].id
}

# The bucket is reached without leaving AWS's network, and through this way only this bucket (and the image layers
# that ECR keeps in S3).
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [local.private == 1 ? aws_route_table.private[0].id : aws_route_table.public.id]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OwnBucket"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [var.bucket_arn, "${var.bucket_arn}/*"]
      },
      {
        Sid       = "ImageLayers"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = "arn:${var.partition}:s3:::prod-${var.region}-starport-layer-bucket/*"
      },
    ]
  })
  tags = { Name = "${var.name}-s3" }
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "What reaches the load balancer"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  security_group_id = aws_security_group.balancer.id
  description       = "The public API"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  for_each          = toset(var.peer_cidrs)
  security_group_id = aws_security_group.balancer.id
  description       = "A peer's peer link"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.ports.peer
  to_port           = var.ports.peer
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each                     = var.ports
  security_group_id            = aws_security_group.balancer.id
  description                  = "To the task: ${each.key}"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_security_group" "task" {
  name        = "${var.name}-task"
  description = "The task: reached from its load balancer only"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "task" {
  for_each                     = var.ports
  security_group_id            = aws_security_group.task.id
  description                  = "From the load balancer: ${each.key}"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "task" {
  for_each          = var.egress
  security_group_id = aws_security_group.task.id
  description       = each.value.why
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
}
