//! Three parties together: what is accepted, what is refused and why, and what happens when one of them cheats.

mod agreement;
mod category;
mod crash;
mod hidden;
mod honest;
mod lost;
mod noise;
mod notarized;
mod providers;
mod refresh;
mod releases;
mod sessions;
mod statistics;
mod stress;
mod tamper;
pub mod world;

pub use world::sandbox;
