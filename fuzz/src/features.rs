//! Empty; `fuzz/Cargo.toml` gives the reason for it.
