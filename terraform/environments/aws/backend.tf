# The same for every root but bootstrap, which makes the bucket: the file is one, and each root has a link to it.

terraform {
  # Bucket, key and region come from a file: terraform init -backend-config=backend.hcl
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
