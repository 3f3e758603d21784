# A network of the notary's own: the load balancer in public subnets, the task in private ones. What the task sends
# leaves through one NAT address: it is the address from which servers see their visitors come.

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The zones are taken once: subnets ignore later changes of the list.
  count = local.fargate
  state = "available"
}

resource "aws_vpc" "notary" {
  #checkov:skip=CKV2_AWS_11:Flow logs would keep the addresses of people who take part; alarms watch the service itself.
  count                = local.fargate
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = local.name }
}

# The default group admits its members to each other; empty, it admits nobody.
resource "aws_default_security_group" "unused" {
  count  = local.fargate
  vpc_id = aws_vpc.notary[0].id
}

resource "aws_subnet" "public" {
  count             = local.fargate * 2
  vpc_id            = aws_vpc.notary[0].id
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)
  availability_zone = data.aws_availability_zones.available[0].names[count.index]
  tags              = { Name = "${local.name}-public-${count.index}" }
  lifecycle {
    # A zone that AWS adds must not move the notary.
    ignore_changes = [availability_zone]
  }
}

resource "aws_subnet" "private" {
  count             = local.fargate * 2
  vpc_id            = aws_vpc.notary[0].id
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index + 2)
  availability_zone = data.aws_availability_zones.available[0].names[count.index]
  tags              = { Name = "${local.name}-private-${count.index}" }
  lifecycle {
    # A zone that AWS adds must not move the notary.
    ignore_changes = [availability_zone]
  }
}

resource "aws_internet_gateway" "notary" {
  count  = local.fargate
  vpc_id = aws_vpc.notary[0].id
  tags   = { Name = local.name }
}

resource "aws_eip" "nat" {
  count  = local.fargate
  domain = "vpc"
  tags   = { Name = "${local.name}-egress" }
}

resource "aws_nat_gateway" "notary" {
  count         = local.fargate
  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id
  tags          = { Name = local.name }
  depends_on    = [aws_internet_gateway.notary]
}

resource "aws_route_table" "public" {
  count  = local.fargate
  vpc_id = aws_vpc.notary[0].id
  tags   = { Name = "${local.name}-public" }
}

resource "aws_route" "public" {
  count                  = local.fargate
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.notary[0].id
}

resource "aws_route_table" "private" {
  count  = local.fargate
  vpc_id = aws_vpc.notary[0].id
  tags   = { Name = "${local.name}-private" }
}

resource "aws_route" "private" {
  count                  = local.fargate
  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.notary[0].id
}

resource "aws_route_table_association" "public" {
  count          = local.fargate * 2
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_route_table_association" "private" {
  count          = local.fargate * 2
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[0].id
}

# The surveys are reached without leaving AWS's network, and through this way only this bucket (and the image layers
# that ECR keeps in S3).
resource "aws_vpc_endpoint" "s3" {
  count             = local.fargate
  vpc_id            = aws_vpc.notary[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private[0].id]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OwnBucket"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.surveys.arn, "${aws_s3_bucket.surveys.arn}/*"]
      },
      {
        Sid       = "ImageLayers"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = "arn:${local.partition}:s3:::prod-${local.region}-starport-layer-bucket/*"
      },
    ]
  })
  tags = { Name = "${local.name}-s3" }
}

resource "aws_security_group" "balancer" {
  count       = local.fargate
  name        = "${local.name}-balancer"
  description = "What reaches the load balancer"
  vpc_id      = aws_vpc.notary[0].id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  count             = local.fargate
  security_group_id = aws_security_group.balancer[0].id
  description       = "Sessions"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each                     = local.fargate == 1 ? local.ports : {}
  security_group_id            = aws_security_group.balancer[0].id
  description                  = "To the notary: ${each.key}"
  referenced_security_group_id = aws_security_group.task[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_security_group" "task" {
  count       = local.fargate
  name        = "${local.name}-task"
  description = "The notary: reached from its load balancer only"
  vpc_id      = aws_vpc.notary[0].id
}

resource "aws_vpc_security_group_ingress_rule" "task" {
  for_each                     = local.fargate == 1 ? local.ports : {}
  security_group_id            = aws_security_group.task[0].id
  description                  = "From the load balancer: ${each.key}"
  referenced_security_group_id = aws_security_group.balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "task" {
  for_each          = local.fargate == 1 ? { servers = { protocol = "tcp", port = 443 }, names-udp = { protocol = "udp", port = 53 }, names-tcp = { protocol = "tcp", port = 53 } } : {}
  security_group_id = aws_security_group.task[0].id
  description       = each.key == "servers" ? "The surveys' servers, and AWS's services" : "Resolvers of names"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
}
