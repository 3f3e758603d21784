//! A lease on the bucket: one process of a party runs at a time.
//!
//! Two processes with one party's keys would sign as two, and the agreement does not survive that. The holder creates a
//! numbered object again and again, each under the number after the last; creation is atomic, so only one process gets a
//! number. A process that wants to start watches the newest number: if it grows within the lease's time, another process
//! runs. No clock is compared with another machine's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tercet_protocol::ids::SurveyId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Created, Store, StoreError, foreign, number};
use crate::keyring::{ObjectKind, Place};

const PREFIX: &str = "lease/";
const HELD: &[u8] = b"held";
const RELEASED: &[u8] = b"released";

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease {
    number: AtomicU64,
    until: Mutex<Instant>,
    lost: AtomicBool,
    time: Duration,
    /// Cancelled when another process has taken the lease.
    pub taken: CancellationToken,
}

impl Lease {
    /// True if this process may still sign for its party.
    pub fn holds(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.lost.load(Ordering::Relaxed) && Instant::now() < until
    }

    fn renewed(&self, number: u64, asked: Instant) {
        self.number.store(number, Ordering::Relaxed);
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = asked + self.time;
    }
}

fn key(n: u64) -> String {
    format!("{PREFIX}{n:020}")
}

fn place(n: u64) -> Place {
    Place { survey: SurveyId([0; 32]), kind: ObjectKind::Lease, height: n }
}

impl Store {
    async fn lease_numbers(&self) -> Result<Vec<u64>, StoreError> {
        let keys = self.inner.objects.list(PREFIX).await?;
        let of = |key: &String| key.strip_prefix(PREFIX).and_then(number).ok_or_else(|| foreign(key));
        keys.iter().map(of).collect()
    }

    async fn newest_lease(&self) -> Result<u64, StoreError> {
        Ok(self.lease_numbers().await?.last().copied().unwrap_or(0))
    }

    async fn claim_lease(&self, n: u64, text: &[u8]) -> Result<Created, StoreError> {
        let sealed = Bytes::from(self.seal(&place(n), &key(n), text).await?);
        match self.inner.objects.create(&key(n), sealed.clone()).await? {
            Created::New => Ok(Created::New),
            // After a lost answer the object may be this call's own.
            Created::Exists => match self.inner.objects.get(&key(n)).await? {
                Some(found) if found == sealed => Ok(Created::New),
                _ => Ok(Created::Exists),
            },
        }
    }

    /// Takes the lease for `time`, or waits as long as it takes to see that nobody holds it. From here on this store makes
    /// nothing durable that this party signs unless the lease holds.
    pub async fn lease(&self, time: Duration) -> Result<Arc<Lease>, StoreError> {
        let last = self.newest_lease().await?;
        if last > 0 && !self.released(last).await? {
            tracing::info!("waiting to see that no other process of this party runs");
            tokio::time::sleep(time + time / 4).await;
            if self.newest_lease().await? != last {
                return Err(StoreError::Leased);
            }
        }
        let asked = Instant::now();
        if self.claim_lease(last + 1, HELD).await? == Created::Exists {
            return Err(StoreError::Leased);
        }
        let lease = Arc::new(Lease {
            number: AtomicU64::new(last + 1),
            until: Mutex::new(asked + time),
            lost: AtomicBool::new(false),
            time,
            taken: CancellationToken::new(),
        });
        // Numbers that were used and deleted meanwhile could be taken again: the newest one counts.
        if self.newest_lease().await? != last + 1 {
            return Err(StoreError::Leased);
        }
        for old in self.lease_numbers().await?.into_iter().filter(|n| *n <= last) {
            self.inner.objects.delete(&key(old)).await?;
        }
        if self.inner.lease.set(lease.clone()).is_err() {
            return Err(StoreError::Config("the lease was taken twice by one process".into()));
        }
        Ok(lease)
    }

    async fn released(&self, n: u64) -> Result<bool, StoreError> {
        Ok(self.read(&place(n), &key(n)).await?.is_some_and(|text| *text == RELEASED))
    }

    /// Renews the lease until it is lost. Runs beside the party.
    pub async fn keep_lease(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(lease.time / 3).await;
            let (n, asked) = (lease.number.load(Ordering::Relaxed), Instant::now());
            match self.claim_lease(n + 1, HELD).await {
                Ok(Created::New) => {
                    lease.renewed(n + 1, asked);
                    if let Err(e) = self.inner.objects.delete(&key(n)).await {
                        tracing::debug!(error = %e, "an old lease object stays");
                    }
                }
                Ok(Created::Exists) => {
                    lease.lost.store(true, Ordering::Relaxed);
                    lease.taken.cancel();
                    return;
                }
                Err(e) => tracing::warn!(error = %e, "the lease on the bucket could not be renewed"),
            }
        }
    }

    /// Gives the lease back, so that the next process need not wait.
    pub async fn release_lease(&self, lease: &Lease) {
        let n = lease.number.load(Ordering::Relaxed);
        lease.lost.store(true, Ordering::Relaxed);
        match self.claim_lease(n + 1, RELEASED).await {
            Ok(Created::New) => {
                if let Err(e) = self.inner.objects.delete(&key(n)).await {
                    tracing::debug!(error = %e, "an old lease object stays");
                }
            }
            Ok(Created::Exists) => {}
            Err(e) => {
                tracing::warn!(error = %e, "the lease could not be given back: the next start waits for its end")
            }
        }
    }

    /// An error unless this process may sign for its party; without a lease (in tests, in tools) it may.
    pub(super) fn fenced(&self) -> Result<(), StoreError> {
        match self.inner.lease.get() {
            Some(lease) if !lease.holds() => Err(StoreError::Leased),
            _ => Ok(()),
        }
    }
}
