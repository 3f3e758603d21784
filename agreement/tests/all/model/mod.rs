//! The exhaustive search: two honest parties that run the crate's own code, and a third that may do anything.

pub mod explore;
pub mod single;
pub mod world;
