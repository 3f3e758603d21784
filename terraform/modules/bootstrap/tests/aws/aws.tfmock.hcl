# What AWS answers where the module reads it.

mock_data "aws_caller_identity" {
  defaults = { account_id = "111111111111" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws" }
}
mock_data "aws_region" {
  defaults = { id = "eu-central-1" }
}
mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-central-1:111111111111:tercet-example-org-alarms" }
}
mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::tercet-example-org-state-111111111111" }
}
