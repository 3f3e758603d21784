# What AWS answers where the module, or the evaluation of its policies, reads it.

mock_data "aws_caller_identity" {
  defaults = { account_id = "111111111111" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws" }
}
mock_data "aws_region" {
  defaults = { id = "eu-central-1", name = "eu-central-1" }
}
mock_data "aws_availability_zones" {
  defaults = { names = ["eu-central-1a", "eu-central-1b"] }
}
mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:eu-central-1:111111111111:key/00000000-0000-0000-0000-000000000001" }
}
mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::tercet-example-org-p0-111111111111", id = "tercet-example-org-p0-111111111111" }
}
mock_resource "aws_secretsmanager_secret" {
  defaults = { arn = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:tercet-example-org-p0/identity-AbCdEf" }
}
mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:111111111111:log-group:/tercet/tercet-example-org-p0" }
}
mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::111111111111:role/tercet-example-org-p0-task" }
}
mock_resource "aws_ecr_repository" {
  defaults = { arn = "arn:aws:ecr:eu-central-1:111111111111:repository/tercet-example-org-p0" }
}
mock_resource "aws_lb" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:loadbalancer/net/p/1", arn_suffix = "net/p/1" }
}
mock_resource "aws_lb_target_group" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/p/1", arn_suffix = "targetgroup/p/1" }
}
mock_resource "aws_lb_listener" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/net/p/1/1" }
}
mock_resource "aws_ecs_task_definition" {
  defaults = { arn = "arn:aws:ecs:eu-central-1:111111111111:task-definition/tercet-example-org-p0:1" }
}
mock_resource "aws_ecs_cluster" {
  defaults = { id = "arn:aws:ecs:eu-central-1:111111111111:cluster/tercet-example-org-p0" }
}
mock_resource "aws_backup_vault" {
  defaults = { arn = "arn:aws:backup:eu-central-1:111111111111:backup-vault:tercet-example-org-p0" }
}
mock_resource "aws_eip" {
  defaults = { public_ip = "198.51.100.7" }
}
