//! Tests of surveys and policy, in one binary.

mod policy;
mod survey;
mod vectors;
