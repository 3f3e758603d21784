//! The coordinator against a real table and stub parties.
