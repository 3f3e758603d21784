//! One process of a party runs at a time.

use std::time::Duration;

use party_host::store::{Pending, StoreError};

use super::{SURVEY, World};

/// Short, and long enough for a busy machine to renew it.
const TIME: Duration = Duration::from_secs(3);
const NAME: Pending = Pending { lock: false, height: 1, number: 1 };

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_does_not_run_beside_the_first() {
    let world = World::start().await;
    let first = world.store().await;
    let lease = first.lease(TIME).await.unwrap();
    let keeping = {
        let (store, lease) = (first.clone(), lease.clone());
        tokio::spawn(async move { store.keep_lease(&lease).await })
    };
    let second = world.store().await;
    assert!(matches!(second.lease(TIME).await, Err(StoreError::Leased)));
    first.put_pending(SURVEY, NAME, b"mine").await.unwrap();

    // An ordinary stop gives the lease back: the next process need not wait.
    keeping.abort();
    first.release_lease(&lease).await;
    let third = world.store().await;
    let started = tokio::time::timeout(TIME / 2, third.lease(TIME)).await;
    assert!(started.is_ok_and(|lease| lease.is_ok()), "it waited for a lease that was given back");
    let stale = first.put_pending(SURVEY, Pending { number: 2, ..NAME }, b"mine").await;
    assert!(matches!(stale, Err(StoreError::Leased)), "{stale:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_renew_its_lease_signs_nothing_more() {
    let world = World::start().await;
    let first = world.store().await;
    let lease = first.lease(TIME).await.unwrap();
    // It hangs, and another one takes over.
    let second = world.store().await;
    second.lease(TIME).await.unwrap();
    let late = first.put_pending(SURVEY, NAME, b"mine").await;
    assert!(matches!(late, Err(StoreError::Leased)), "{late:?}");
    second.put_pending(SURVEY, NAME, b"theirs").await.unwrap();
    // It finds out.
    tokio::time::timeout(TIME, first.keep_lease(&lease)).await.unwrap();
    assert!(lease.taken.is_cancelled() && !lease.holds());
}
