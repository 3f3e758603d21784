//! Alterations of the program by name, for tests of the tests: what a test promises to notice, `cargo xtask mutants` does,
//! and sees whether the test fails.
//!
//! A switch is the constant `false` unless a build has both the feature `switches` and debug assertions, which no release
//! has.

#![no_std]

/// True if the named alteration is on: everywhere, if the environment's `TERCET_MUTANT` is the name, or at the one party
/// whose thread a test has altered.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::on($name)
    };
}

/// No alteration is ever on in this build.
#[cfg(not(all(feature = "switches", debug_assertions)))]
#[inline(always)]
pub const fn on(_: &'static str) -> bool {
    false
}

#[cfg(all(feature = "switches", debug_assertions))]
pub use switches::{Alteration, alter, on};

#[cfg(all(feature = "switches", debug_assertions))]
mod switches {
    extern crate std;

    use core::cell::Cell;
    use std::string::String;
    use std::sync::OnceLock;
    use std::{env, thread_local};

    static EVERYWHERE: OnceLock<Option<String>> = OnceLock::new();

    thread_local! {
        static HERE: Cell<Alteration> = const { Cell::new(Alteration { name: "", at: 0, reached: 0 }) };
    }

    /// One thread's alteration: the program does otherwise at one of the times that it comes to a place.
    #[derive(Clone, Copy, Debug)]
    pub struct Alteration {
        name: &'static str,
        /// The time at which it is altered, from 0 on.
        at: usize,
        /// Number of times that it has come there.
        reached: usize,
    }

    impl Alteration {
        /// True if the program came to the place often enough to be altered there.
        pub fn happened(&self) -> bool {
            self.reached > self.at
        }
    }

    /// Alters this thread's program at the place `name`, the time `at` that it comes there (from 0 on), and gives the
    /// alteration there was before.
    pub fn alter(name: &'static str, at: usize) -> Alteration {
        HERE.replace(Alteration { name, at, reached: 0 })
    }

    /// True if the named alteration is on.
    pub fn on(name: &'static str) -> bool {
        let everywhere = EVERYWHERE.get_or_init(|| env::var("TERCET_MUTANT").ok());
        everywhere.as_deref() == Some(name) || here(name)
    }

    fn here(name: &'static str) -> bool {
        let mut this = HERE.get();
        if this.name != name {
            return false;
        }
        this.reached += 1;
        HERE.set(this);
        this.reached == this.at + 1
    }
}
