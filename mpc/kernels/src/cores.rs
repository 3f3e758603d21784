//! The prover's work on all cores of the machine.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use tercet_mpc::Workers;
use tercet_mpc::field::Gf128;
use tercet_mpc::proof::add;
use zeroize::Zeroizing;

/// As many threads as this process may run at a time, started for each proof.
#[derive(Clone, Copy, Debug)]
pub struct Cores(NonZeroUsize);

impl Cores {
    /// All that this process may use.
    pub fn all() -> Self {
        Self(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// This many.
    pub const fn some(threads: NonZeroUsize) -> Self {
        Self(threads)
    }
}

impl Workers for Cores {
    fn sum(
        &self,
        jobs: usize,
        job: &(dyn Fn(usize) -> Zeroizing<Vec<Gf128>> + Sync),
        done: &mut dyn FnMut(usize),
    ) -> Zeroizing<Vec<Gf128>> {
        let next = AtomicUsize::new(0);
        let (results, finished) = channel();
        let mut sum = Zeroizing::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..self.0.get().min(jobs) {
                let (next, results) = (&next, results.clone());
                scope.spawn(move || {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        // The other end is gone only if this thread's caller is.
                        if i >= jobs || results.send(job(i)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(results);
            for (i, part) in finished.into_iter().enumerate() {
                add(&mut sum, part);
                done(i + 1);
            }
        });
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_mpc::OneCore;

    #[test]
    fn the_sum_does_not_depend_on_the_cores() {
        let job = |i: usize| Zeroizing::new((0..5).map(|k| Gf128((i as u128 + 1) << (8 * k))).collect());
        for jobs in [0, 1, 2, 9] {
            let expected = OneCore.sum(jobs, &job, &mut |_| {});
            for threads in [1, 2, 8] {
                let mut told = Vec::new();
                let cores = Cores::some(NonZeroUsize::new(threads).unwrap());
                assert_eq!(cores.sum(jobs, &job, &mut |done| told.push(done)), expected);
                assert_eq!(told, (1..=jobs).collect::<Vec<_>>());
            }
        }
    }
}
