//! The record layer: framing, and opening of protected records.

use alloc::vec::Vec;
use core::ops::Range;

use zeroize::Zeroizing;

use crate::Refusal;
use crate::keys::{TAG, TrafficKeys};

/// Largest number of bytes of one direction.
pub const MAX_DIRECTION: usize = 256 * 1024;
/// Largest body of a record (RFC 8446, 5.2).
const MAX_BODY: usize = (1 << 14) + 256;
/// Largest plaintext of a protected record: content, inner type and padding (RFC 8446, 5.4).
const MAX_INNER: usize = (1 << 14) + 1;
const HEADER: usize = 5;

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

/// A record: its type, and the position of its body in its direction's bytes. The header is the five bytes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub body: Range<usize>,
}

/// A protected record of one direction. Its place in the list of its direction's records under the same keys is
/// its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The position of its body in the direction's bytes: ciphertext, then 16 bytes of tag.
    pub body: Range<usize>,
}

impl Protected {
    /// The position of its ciphertext in the direction's bytes.
    pub fn ciphertext(&self) -> Range<usize> {
        self.body.start..self.body.end - TAG
    }

    /// Bytes of its plaintext: content, one byte of inner type, padding.
    pub fn plain_length(&self) -> usize {
        self.body.len() - TAG
    }
}

/// Splits a direction into whole records. With `client`, the first may carry version 3.1.
pub fn split(bytes: &[u8], client: bool) -> Result<Vec<Record>, Refusal> {
    if bytes.len() > MAX_DIRECTION {
        return Err(Refusal::DirectionTooLong);
    }
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let header: &[u8; HEADER] = bytes[at..].first_chunk().ok_or(Refusal::RecordCutOff)?;
        let [kind, major, minor, high, low] = *header;
        if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) {
            return Err(Refusal::RecordType);
        }
        if major != 3 || !(minor == 3 || (minor == 1 && client && at == 0)) {
            return Err(Refusal::RecordVersion);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > MAX_BODY {
            return Err(Refusal::RecordLength);
        }
        let body = at + HEADER..at + HEADER + length;
        let content = bytes.get(body.clone()).ok_or(Refusal::RecordCutOff)?;
        if kind == CHANGE_CIPHER_SPEC && content != [1] {
            return Err(Refusal::ChangeCipherSpec);
        }
        at = body.end;
        records.push(Record { kind, body });
    }
    Ok(records)
}

/// The records behind a hello: one ChangeCipherSpec at most, directly behind it; then protected records only.
pub fn protected(records: &[Record]) -> Result<Vec<Protected>, Refusal> {
    let rest = match records {
        [first, rest @ ..] if first.kind == CHANGE_CIPHER_SPEC => rest,
        all => all,
    };
    rest.iter()
        .map(|r| match r.kind {
            APPLICATION_DATA if r.body.len() > TAG => Ok(Protected { body: r.body.clone() }),
            APPLICATION_DATA => Err(Refusal::RecordLength),
            CHANGE_CIPHER_SPEC => Err(Refusal::ChangeCipherSpec),
            _ => Err(Refusal::UnprotectedRecord),
        })
        .collect()
}

/// The content of a protected record.
pub struct Plain {
    /// The inner type.
    pub kind: u8,
    /// The content, without type and padding.
    pub content: Zeroizing<Vec<u8>>,
    /// Zero bytes behind the inner type.
    pub padding: usize,
}

/// Opens a record; `None` if its tag is wrong, it is too long or holds only padding.
pub fn open(keys: &TrafficKeys, sequence: usize, record: &Protected, bytes: &[u8]) -> Option<Plain> {
    let header = record.body.start.checked_sub(HEADER)?..record.body.start;
    let mut content = Zeroizing::new(bytes.get(record.body.clone())?.to_vec());
    let length = keys.open(sequence, bytes.get(header)?, &mut content)?;
    content.truncate(length);
    let last = content.iter().rposition(|b| *b != 0)?;
    if length > MAX_INNER {
        return None;
    }
    let kind = content[last];
    content.truncate(last);
    Some(Plain { kind, content, padding: length - last - 1 })
}
