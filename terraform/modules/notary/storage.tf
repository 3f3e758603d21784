# The surveys that the operator approved, one assembled survey a file: public documents, under S3's own key.
module "bucket" {
  source          = "../bucket"
  name            = local.bucket
  force_destroy   = var.destroy_data
  noncurrent_days = var.noncurrent_days
}
