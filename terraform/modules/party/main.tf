# One party: its share store and keys, and what runs it. No statement below names another operator's resource.

locals {
  name = "tercet-${var.operator}-p${var.index}"

  ports = { api = 8080, peer = 7443 }

  # What belongs to the share store, and what is public and read at start.
  store_prefix      = "store/"
  deployment_prefix = "deployment/"

  # The operator's keys (docs/operators.md).
  secrets = {
    identity = "Seed of the key that signs receipts, log entries, results and the manifest"
    sealing  = "Seed of the key that providers seal private parts to"
    peer     = "Seed of the peer link's TLS key"
    # Empty but for the time of a rotation.
    sealing_previous = "Seed of the sealing key before, while it is being rotated"
  }
}
