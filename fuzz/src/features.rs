//! Empty; `fuzz/Cargo.toml` says what it is for.
