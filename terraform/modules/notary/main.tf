# One notary: its key, the surveys that its operator approved, and what runs it. No statement below names another
# operator's resource. It is run by none of the three parties' operators.

locals {
  name = "tercet-${var.operator}-notary"

  surveys_prefix = "surveys/"
}
