//! Three parties together: acceptance, refusals with their reasons, and a party that cheats.

mod abandon;
mod agreement;
mod category;
mod checkpoints;
mod costs;
mod crash;
mod hidden;
mod honest;
mod lost;
mod noise;
mod notarized;
mod outage;
mod providers;
mod refresh;
mod releases;
mod sessions;
mod statistics;
mod stops;
mod stress;
mod tamper;
pub mod world;

pub use world::sandbox;
