//! End-to-end tests of the whole system as separate processes (`system/`), and the fixtures that all crates share
//! (`fixtures/`).
