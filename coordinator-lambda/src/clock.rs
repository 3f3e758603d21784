//! Time, as an argument: no test depends on the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The coordinator's clock.
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch.
    fn now(&self) -> Duration;

    /// Whole seconds since the Unix epoch.
    fn seconds(&self) -> u64 {
        self.now().as_secs()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        // A clock before 1970 reads as 1970: everything then looks expired, which refuses and never admits.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
