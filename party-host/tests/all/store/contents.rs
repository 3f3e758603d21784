//! The contents of the bucket: nothing readable, and nothing that can be altered or moved unnoticed.

use bytes::Bytes;
use party_host::keyring::KeyringError;
use party_host::store::{Created, Objects, Pending};

use super::*;

/// Every kind of object, under one key each; with the log at height 2.
async fn filled(w: &World) -> Store {
    let store = w.store().await;
    for b in &chain(2) {
        store_batch(&store, b).await.unwrap();
    }
    for n in 0..2 {
        store.put_answer(SURVEY, n, &answer(n)).await.unwrap();
    }
    for lock in [false, true] {
        let name = Pending { lock, height: 3, number: 1 };
        store.put_pending(SURVEY, name, PENDING).await.unwrap();
    }
    store
}

/// A record of an entry that is being agreed on.
const PENDING: &[u8] = b"an entry that is being agreed on";

fn answer(n: u64) -> Vec<u8> {
    format!("{{\"release\":{n},\"statistic\":\"mean\",\"value\":\"1234.5678\"}}").into_bytes()
}

/// Reads everything there is, as a start does.
async fn read_all(store: &Store) -> Result<(), StoreError> {
    store.ensure_bucket().await?;
    let log = read_log(store, SURVEY).await?;
    for e in &log {
        store.segment(SURVEY, e.height, e.hash()).await?;
    }
    store.list_segments(SURVEY, 0).await?;
    for n in 0..2 {
        store.answer(SURVEY, n).await?;
    }
    for name in store.list_pending(SURVEY).await? {
        store.pending(SURVEY, name).await?;
    }
    Ok(())
}

async fn replace(objects: &S3Objects, key: &str, body: Vec<u8>) {
    objects.delete(key).await.unwrap();
    assert_eq!(objects.create(key, Bytes::from(body)).await.unwrap(), Created::New);
}

#[tokio::test]
async fn every_body_is_ciphertext() {
    let w = World::start().await;
    filled(&w).await;
    let mut secrets: Vec<Vec<u8>> = vec![PENDING.to_vec()];
    for (e, s) in chain(2) {
        secrets.extend(s.shares().chunks(16).map(<[u8]>::to_vec));
        secrets.push(e.entry.previous.as_ref().to_vec());
        secrets.extend(e.votes.iter().map(|v| v.as_ref()[..32].to_vec()));
        for a in e.entry.accepted() {
            secrets.push(a.submission.as_ref().to_vec());
            secrets.push(a.nullifier.as_ref().to_vec());
        }
    }
    // The first entry's predecessor is all zero, which says nothing.
    secrets.retain(|s| s.iter().any(|b| *b != 0));
    secrets.extend((0..2).map(answer));
    secrets.push(SURVEY.as_ref().to_vec());
    let text: Vec<_> = secrets.iter().map(|s| hex::encode(s).into_bytes()).collect();
    secrets.extend(text);
    secrets.extend([&b"tercet"[..], b"statistic", b"mean", b"cohort"].map(<[u8]>::to_vec));

    let objects = w.objects().await;
    let keys = objects.list("").await.unwrap();
    assert_eq!(keys.len(), 9, "{keys:?}");
    for key in keys {
        let body = objects.get(&key).await.unwrap().unwrap();
        for secret in &secrets {
            assert!(
                !body.windows(secret.len()).any(|w| w == secret),
                "{key} holds {:?}",
                hex::encode(secret)
            );
        }
    }
}

#[tokio::test]
async fn altered_objects_are_named_and_never_panic() {
    let w = World::start().await;
    filled(&w).await;
    let objects = w.objects().await;
    let keys = objects.list("").await.unwrap();
    for key in &keys {
        let good = objects.get(key).await.unwrap().unwrap();
        let mut flipped_last = good.clone();
        *flipped_last.last_mut().unwrap() ^= 1;
        let mut flipped_middle = good.clone();
        flipped_middle[good.len() / 2] ^= 0x80;
        let bad = [
            Vec::new(),
            vec![0; good.len()],
            good[..good.len() - 1].to_vec(),
            good[..7].to_vec(),
            [&good[..], b"x"].concat(),
            flipped_last,
            flipped_middle,
        ];
        for (i, body) in bad.into_iter().enumerate() {
            replace(&objects, key, body).await;
            let store = Store::open(&w.config(), credentials("SK"), w.sealer()).await.unwrap();
            let e = read_all(&store).await.unwrap_err();
            let file = key.rsplit('/').next().unwrap();
            assert!(e.to_string().contains(file) && !e.is_retryable(), "{key}, {i}: {e}");
        }
        replace(&objects, key, good).await;
    }
    read_all(&w.store().await).await.unwrap();
}

#[tokio::test]
async fn no_object_opens_in_anothers_place() {
    let w = World::start().await;
    filled(&w).await;
    let objects = w.objects().await;
    let keys = objects.list("").await.unwrap();
    for to in &keys {
        let good = objects.get(to).await.unwrap().unwrap();
        for from in keys.iter().filter(|k| *k != to) {
            let body = objects.get(from).await.unwrap().unwrap();
            replace(&objects, to, body).await;
            let store = Store::open(&w.config(), credentials("SK"), w.sealer()).await.unwrap();
            let e = read_all(&store).await.unwrap_err();
            assert!(matches!(e, StoreError::Corrupt { .. } | StoreError::Config(_)), "{from} in {to}: {e}");
        }
        replace(&objects, to, good).await;
    }
    // The same height, the segment of another entry.
    let store = w.store().await;
    let (entry, segment) = batch(2, EntryHash([7; 32]), 5);
    store.put_segment(SURVEY, 2, entry.entry.hash(), segment).await.unwrap();
    let staged = format!("surveys/{SURVEY}/segments/{:020}-{}", 2, entry.entry.hash());
    let committed = chain(2)[1].0.entry.hash();
    let body = objects.get(&staged).await.unwrap().unwrap();
    replace(&objects, &format!("surveys/{SURVEY}/segments/{:020}-{committed}", 2), body).await;
    let e = w.store().await.segment(SURVEY, 2, committed).await.unwrap_err();
    assert!(matches!(&e, StoreError::Corrupt { reason, .. } if reason.contains("belongs to entry")), "{e}");
}

#[tokio::test]
async fn foreign_names_are_reported() {
    let w = World::start().await;
    filled(&w).await;
    let objects = w.objects().await;
    let prefix = format!("surveys/{SURVEY}");
    for name in ["log/3", "log/00000000000000000000", "segments/notes.txt"] {
        let key = format!("{prefix}/{name}");
        objects.create(&key, Bytes::from_static(b"?")).await.unwrap();
        let e = read_all(&w.store().await).await.unwrap_err();
        assert!(matches!(&e, StoreError::Corrupt { key: k, .. } if *k == key), "{name}: {e}");
        objects.delete(&key).await.unwrap();
    }
    read_all(&w.store().await).await.unwrap();
}

#[tokio::test]
async fn keys_rotate_and_old_objects_still_open() {
    let w = World::start().await;
    let chain = chain(2);
    store_batch(&w.store().await, &chain[0]).await.unwrap();
    let old = std::fs::read(w.key_file()).unwrap();
    let rotated = FileKeyring::rotate(&w.key_file()).unwrap();
    store_batch(&w.store().await, &chain[1]).await.unwrap();
    let store = w.store().await;
    read_all(&store).await.unwrap();
    assert_eq!(read_log(&store, SURVEY).await.unwrap().len(), 2);
    // With the old file only what was written since does not open, and the error says which key is wanted.
    std::fs::write(w.key_file(), old).unwrap();
    let e = read_log(&w.store().await, SURVEY).await.unwrap_err();
    let StoreError::Keyring { key, source: KeyringError::UnknownKey { id } } = &e else { panic!("{e}") };
    assert!(key.ends_with("00002"), "{e}");
    assert_eq!(id, rotated.current());
}

#[tokio::test]
async fn another_keyring_or_operator_is_stopped_at_the_start() {
    let w = World::start().await;
    filled(&w).await;
    let other = FileKeyring::create(&w.dir.path().join("other.key")).unwrap();
    let sealer = Sealer::new(Arc::new(other), OPERATOR);
    let store = Store::open(&w.config(), credentials("SK"), sealer).await.unwrap();
    let e = store.ensure_bucket().await.unwrap_err();
    assert!(matches!(e, StoreError::Keyring { source: KeyringError::UnknownKey { .. }, .. }), "{e}");
    let same = FileKeyring::open(&w.key_file()).unwrap();
    let sealer = Sealer::new(Arc::new(same), PublicKey([0x0b; 32]));
    let store = Store::open(&w.config(), credentials("SK"), sealer).await.unwrap();
    let e = store.ensure_bucket().await.unwrap_err();
    assert!(matches!(&e, StoreError::Config(text) if text.contains("identity")), "{e}");
}
