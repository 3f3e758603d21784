//! Searches, properties and simulations of the release rules.

mod combinations;
mod fraction;
mod orders;
mod people;
mod properties;
mod searches;
mod secrets;
mod simulation;
