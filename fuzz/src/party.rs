//! A party's decoders: its peers' streams and its bucket.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use party_host::keyring::{
    DataKey, EnvelopeError, KeyWrapper, KeyringError, ObjectKind, Place, Sealer, WrappedKey,
};
use party_host::peer::{FrameDecoder, PeerError};
use party_host::store::{Created, LANE_BYTES, Objects, Segment, Store, StoreError};
use tercet_protocol::ids::{EntryHash, PublicKey, SubmissionId, SurveyId, sha256};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::documents;

/// The frames of a stream, and the way in which it ended: within a frame or between two.
type Decoded = (Vec<(u32, Bytes)>, Result<bool, PeerError>);

fn decode(stream: &[u8], piece: usize, max: usize) -> Decoded {
    let (mut decoder, mut frames) = (FrameDecoder::new(max), Vec::new());
    for piece in stream.chunks(piece.max(1)) {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.decode() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(e) => return (frames, Err(e)),
            }
        }
    }
    (frames, Ok(decoder.mid_frame()))
}

/// Two bytes for the limit, one for the length of the pieces, then the stream: the frames are the stream's, however
/// it is cut.
pub fn frames(data: &[u8]) {
    let Some((&[low, high, piece], stream)) = data.split_first_chunk() else { return };
    let max = usize::from(u16::from_le_bytes([low, high]));
    let (frames, end) = decode(stream, stream.len(), max);
    assert_eq!(decode(stream, piece.into(), max), (frames.clone(), end.clone()));
    let mut again = Vec::new();
    for (step, payload) in &frames {
        assert!(payload.len() <= max);
        again.extend(step.to_be_bytes());
        again.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        again.extend_from_slice(payload);
    }
    assert!(stream.starts_with(&again));
    if let Ok(mid_frame) = end {
        assert_eq!(mid_frame, again.len() < stream.len());
    }
}

pub fn frames_seeds() -> Vec<Vec<u8>> {
    let frame = |step: u32, payload: &[u8]| {
        [&step.to_be_bytes()[..], &(payload.len() as u32).to_be_bytes(), payload].concat()
    };
    let stream = [frame(u32::MAX, b"{\"hello\":1}"), frame(3, &[]), frame(4, &[7; 300])].concat();
    let input = |max: u16, piece: u8| [&max.to_le_bytes()[..], &[piece], &stream].concat();
    vec![input(1000, 1), input(1000, 255), input(100, 7), input(u16::MAX, 64)]
}

const ENTRY: EntryHash = EntryHash([7; 32]);

/// Decoding is canonical; rows are parts of the whole.
pub fn segment(data: &[u8]) {
    let Ok(segment) = Segment::decode(&ENTRY, data) else { return };
    assert_eq!(*segment.encode(&ENTRY), data);
    let width = segment.lanes() as usize * LANE_BYTES;
    let rows = segment.submissions().len();
    // Rows without lanes are many for few bytes: looking at some is enough.
    for row in (0..rows).take(64) {
        assert_eq!(segment.row(row).unwrap(), &segment.shares()[row * width..][..width]);
    }
    assert_eq!((segment.row(rows), segment.keys(rows)), (None, None));
}

pub fn segment_seeds() -> Vec<Vec<u8>> {
    [(0, 0), (1, 1), (3, 2), (2, 0)]
        .map(|(rows, lanes)| {
            let ids = vec![SubmissionId([1; 32]); rows];
            let shares = Zeroizing::new(vec![5; rows * lanes as usize * LANE_BYTES]);
            Segment::new(ids, lanes, shares, Zeroizing::new(vec![6; rows * 64]))
                .unwrap()
                .encode(&ENTRY)
                .to_vec()
        })
        .to_vec()
}

/// A key service with one key, in memory: the wrapped key is the data key under a pad of its place.
#[derive(Debug)]
struct Pad;

fn pad(key: &[u8; 32], context: &[u8]) -> [u8; 32] {
    let mut out = sha256(&[b"pad", context]);
    out.iter_mut().zip(key).for_each(|(a, b)| *a ^= b);
    out
}

#[async_trait]
impl KeyWrapper for Pad {
    async fn wrap(&self, data_key: &DataKey, context: &[u8]) -> Result<WrappedKey, KeyringError> {
        Ok(WrappedKey { key_id: "pad".into(), bytes: pad(&data_key.0, context).to_vec() })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<DataKey, KeyringError> {
        let bytes = wrapped.bytes.as_slice().try_into().map_err(|_| KeyringError::Refused)?;
        Ok(DataKey(Zeroizing::new(pad(bytes, context))))
    }
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());
static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(Arc::new(Pad), PublicKey([9; 32])));

/// A bucket in memory.
#[derive(Default)]
struct Memory(Mutex<HashMap<String, Vec<u8>>>);

#[async_trait]
impl Objects for Memory {
    async fn ensure(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError> {
        match self.0.lock().unwrap().insert(key.into(), body.into()) {
            None => Ok(Created::New),
            Some(_) => panic!("{key} is written twice"),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}

const SURVEY: SurveyId = SurveyId([1; 32]);
const PLACE: Place = Place { survey: SURVEY, kind: ObjectKind::LogEntry, height: 1 };

/// A log entry in the bucket, rightly sealed: it is refused as damaged, or the store writes it again as it was.
pub fn entry(data: &[u8]) {
    RUNTIME.block_on(async {
        let memory = Arc::new(Memory::default());
        let key = format!("surveys/{SURVEY}/log/{:020}", PLACE.height);
        let sealed = SEALER.seal(&PLACE, data).await.unwrap();
        memory.0.lock().unwrap().insert(key.clone(), sealed);
        let store = Store::new(memory, SEALER.clone(), 0);
        let committed = match store.get_entry(SURVEY, PLACE.height).await {
            Ok(committed) => committed.unwrap(),
            Err(StoreError::Corrupt { .. }) => return,
            Err(e) => panic!("a damaged entry is called something else: {e}"),
        };
        let memory = Arc::new(Memory::default());
        Store::new(memory.clone(), SEALER.clone(), 0).commit(SURVEY, &committed).await.unwrap();
        let sealed = memory.get(&key).await.unwrap().unwrap();
        assert_eq!(*SEALER.open(&PLACE, sealed).await.unwrap(), data);
    });
}

pub fn entry_seeds() -> Vec<Vec<u8>> {
    RUNTIME.block_on(async {
        let memory = Arc::new(Memory::default());
        Store::new(memory.clone(), SEALER.clone(), 0).commit(SURVEY, &documents::entry()).await.unwrap();
        let sealed = memory.0.lock().unwrap().drain().map(|(_, sealed)| sealed).next().unwrap();
        vec![SEALER.open(&PLACE, sealed).await.unwrap().to_vec()]
    })
}

const TEXTS: [&[u8]; 3] = [b"", b"a", &[0x5a; 300]];

/// Only sealed objects open, and each other one is refused for its own fault.
pub fn envelope(data: &[u8]) {
    match RUNTIME.block_on(SEALER.open(&PLACE, data.to_vec())) {
        Ok(opened) => assert!(TEXTS.contains(&&opened[..]), "a forged object opens"),
        Err(EnvelopeError::Malformed(_) | EnvelopeError::CannotOpen) => {}
        Err(e) => panic!("a damaged object is called something else: {e}"),
    }
}

pub fn envelope_seeds() -> Vec<Vec<u8>> {
    RUNTIME.block_on(async {
        let mut seeds = Vec::new();
        for text in TEXTS {
            seeds.push(SEALER.seal(&PLACE, text).await.unwrap());
        }
        seeds.push(SEALER.seal(&Place { height: 2, ..PLACE }, TEXTS[1]).await.unwrap());
        seeds
    })
}
