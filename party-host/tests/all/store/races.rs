//! The winner of a conditional write, also when answers get lost.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use futures::future::join_all;
use party_host::store::{Created, Objects};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const WRITERS: u64 = 16;

/// As many processes as writers, each with its own connection.
async fn stores(w: &World) -> Vec<Store> {
    join_all((0..WRITERS).map(|_| w.store())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_entries_one_is_committed_and_the_others_are_told() {
    let w = World::start().await;
    let stores = stores(&w).await;
    for height in 1..=4 {
        let entries: Vec<_> = (0..WRITERS).map(|v| batch(height, EntryHash([9; 32]), v).0).collect();
        let results = join_all(stores.iter().zip(&entries).map(|(s, e)| s.commit(SURVEY, e))).await;
        let winners: Vec<_> =
            results.iter().zip(&entries).filter(|(r, _)| r.is_ok()).map(|(_, e)| e).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(stores[0].get_entry(SURVEY, height).await.unwrap().as_ref(), Some(winners[0]));
        for (result, entry) in results.iter().zip(&entries).filter(|(r, _)| r.is_err()) {
            let Err(StoreError::Diverged { height: h, stored, offered }) = result else {
                panic!("{result:?}")
            };
            assert_eq!((*h, *stored, *offered), (height, winners[0].entry.hash(), entry.entry.hash()));
        }
        // The same entry again is no divergence, whoever repeats it.
        for r in join_all(stores.iter().map(|s| s.commit(SURVEY, winners[0]))).await {
            r.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_answers_at_one_release_point_one_is_kept_for_ever() {
    let w = World::start().await;
    let stores = stores(&w).await;
    for point in 0..4 {
        let texts: Vec<String> = (0..WRITERS).map(|n| format!("answer {n}")).collect();
        let puts = stores.iter().zip(&texts).map(|(s, text)| s.put_answer(SURVEY, point, text.as_bytes()));
        let results = join_all(puts).await;
        let kept = results.iter().position(Result::is_ok).unwrap();
        let lost = results.iter().filter(|r| matches!(r, Err(StoreError::Conflict { .. }))).count();
        assert_eq!(lost as u64, WRITERS - 1, "{results:?}");
        for (store, text) in stores.iter().zip(&texts) {
            let again = store.put_answer(SURVEY, point, text.as_bytes()).await;
            assert_eq!(again.is_ok(), *text == texts[kept], "{again:?}");
        }
        assert_eq!(**stores[0].answer(SURVEY, point).await.unwrap().unwrap(), *texts[kept].as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_segment_staged_sixteen_times_is_one_segment() {
    let w = World::start().await;
    let stores = stores(&w).await;
    let (entry, segment) = batch(1, EntryHash([0; 32]), 0);
    let hash = entry.entry.hash();
    for r in join_all(stores.iter().map(|s| s.put_segment(SURVEY, 1, hash, segment.clone()))).await {
        r.unwrap();
    }
    assert_eq!(stores[0].list_segments(SURVEY, 0).await.unwrap(), [(1, hash)]);
    // Other shares under the same name: refused, and the first stay.
    let (_, other) = batch(1, EntryHash([0; 32]), 1);
    let e = stores[1].put_segment(SURVEY, 1, hash, other).await.unwrap_err();
    assert!(matches!(e, StoreError::Conflict { .. }), "{e}");
    assert_eq!(w.store().await.segment(SURVEY, 1, hash).await.unwrap(), segment);
}

/// Forwards to `target`, but cuts the first `losses` connections that carry a PUT once the answer begins: the write
/// took place and its answer is lost.
async fn lossy_proxy(target: std::net::SocketAddr, losses: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let left = Arc::new(Mutex::new(losses));
        while let Ok((client, _)) = listener.accept().await {
            let left = left.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(target).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let saw_put = Arc::new(Mutex::new(false));
                let saw = saw_put.clone();
                let up = async move {
                    let mut buf = vec![0; 1 << 16];
                    while let Ok(n @ 1..) = from_client.read(&mut buf).await {
                        if buf.starts_with(b"PUT ") {
                            *saw.lock().unwrap() = true;
                        }
                        if to_server.write_all(&buf[..n]).await.is_err() {
                            break;
                        }
                    }
                };
                let down = async move {
                    let mut buf = vec![0; 1 << 16];
                    while let Ok(n @ 1..) = from_server.read(&mut buf).await {
                        let put = std::mem::take(&mut *saw_put.lock().unwrap());
                        if put && lose(&left) {
                            break;
                        }
                        if to_client.write_all(&buf[..n]).await.is_err() {
                            break;
                        }
                    }
                };
                // Either side's end closes both.
                tokio::select! { () = up => {}, () = down => {} }
            });
        }
    });
    addr
}

fn lose(left: &Mutex<usize>) -> bool {
    let mut left = left.lock().unwrap();
    let lose = *left > 0;
    *left = left.saturating_sub(1);
    lose
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_recognised_as_ones_own() {
    let w = World::start().await;
    w.store().await;
    let proxy = lossy_proxy(w.server.addr(), 2).await;
    let config = StoreConfig { endpoint: Some(format!("http://{proxy}")), ..w.config() };
    let store = Store::open(&config, credentials("SK"), w.sealer()).await.unwrap();
    // Two losses, two writes: each is applied, unanswered, retried by the SDK and found to exist.
    store.put_answer(SURVEY, 0, b"answer").await.unwrap();
    store_batch(&store, &chain(1)[0]).await.unwrap();
    assert!(store.answer(SURVEY, 0).await.unwrap().is_some());
    assert!(matches!(store.put_answer(SURVEY, 0, b"another").await, Err(StoreError::Conflict { .. })));
}

/// A service that does not know `If-None-Match`.
#[derive(Default)]
struct Overwriting(Mutex<BTreeMap<String, Bytes>>);

#[async_trait::async_trait]
impl Objects for Overwriting {
    async fn ensure(&self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError> {
        self.0.lock().unwrap().insert(key.into(), body);
        Ok(Created::New)
    }
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).map(|b| b.to_vec()))
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.0.lock().unwrap().keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}

#[tokio::test]
async fn a_service_without_conditional_writes_is_refused_at_every_start() {
    let w = World::start().await;
    let objects = Arc::new(Overwriting::default());
    for _ in 0..2 {
        let e = Store::new(objects.clone(), w.sealer(), CACHE).ensure_bucket().await.unwrap_err();
        assert!(matches!(&e, StoreError::Config(text) if text.contains("conditional")), "{e}");
    }
}
