output "task_definition" {
  description = "The task."
  value       = aws_ecs_task_definition.this
}

output "service" {
  description = "The service."
  value       = aws_ecs_service.this
}

output "repository" {
  description = "Where the image is pushed."
  value       = aws_ecr_repository.this
}

output "balancer" {
  description = "The load balancer."
  value       = aws_lb.this
}

output "listeners" {
  description = "What listens at the load balancer."
  value       = { api = aws_lb_listener.api, peer = one(aws_lb_listener.peer[*]) }
}

output "targets" {
  description = "The target groups, by port."
  value       = aws_lb_target_group.this
}

output "egress_cidrs" {
  description = "Where the service's own connections come from; empty without a fixed address."
  value       = [for address in aws_eip.nat : "${address.public_ip}/32"]
}

output "execution_policy" {
  description = "What the role that starts the container may do."
  value       = aws_iam_role_policy.execution.policy
}

output "peer_cidrs" {
  description = "Who reaches the peer link."
  value       = toset([for r in aws_vpc_security_group_ingress_rule.peers : r.cidr_ipv4])
}

output "task_cidrs" {
  description = "Address ranges that reach the task beside its load balancer: none."
  value       = compact([for r in aws_vpc_security_group_ingress_rule.task : r.cidr_ipv4])
}

output "open_ports" {
  description = "Ports that anybody reaches at the load balancer."
  value       = [aws_vpc_security_group_ingress_rule.https.from_port]
}

output "alarms" {
  description = "The alarms on measurements, by name."
  value       = merge(aws_cloudwatch_metric_alarm.service, { disk = aws_cloudwatch_metric_alarm.disk })
}

output "deployment_targets" {
  description = "Where failed deployments are told."
  value       = [for target in aws_cloudwatch_event_target.deployment : target.arn]
}

output "zones" {
  description = "Which zones may be taken."
  value       = one(data.aws_availability_zones.available.filter)
}

output "insights" {
  description = "The log of Container Insights."
  value       = aws_cloudwatch_log_group.insights
}

output "rules" {
  description = "Names of the rules that tell of failed deployments."
  value       = aws_cloudwatch_event_rule.deployment[*].name
}
