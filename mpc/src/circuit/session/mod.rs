//! A recorded TLS 1.3 session as a circuit: from the handshake secret to the role of each byte of its records.
//!
//! The keys of both directions follow from the secret, which is checked to be the session's; a block's keystream XOR
//! its ciphertext is the text. Shown bytes are compared, a column's bytes are handed on, and the provider's own bytes
//! are checked by the rule of their place. The records' tags are not checked: all keys are the session's.

mod aes;
mod chacha;
mod inert;
mod keys;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::ops::Range;

use crate::bits::{Bits, mask};
use crate::circuit::Backend;
use crate::mutant;
use crate::statement::session::{HANDSHAKE_SECRET_BYTES, InertKind, Record, Run, Session, Suite};

use aes::Aes;
use chacha::ChaCha;
use inert::Waiting;

/// Bytes that are computed side by side: the lanes of a word.
const WINDOW: usize = 64;

/// One direction's cipher.
enum Cipher<W> {
    Aes(Aes<W>),
    ChaCha(ChaCha<W>),
}

impl<W: Bits> Cipher<W> {
    fn block_bytes(&self) -> usize {
        match self {
            Self::Aes(_) => aes::BLOCK,
            Self::ChaCha(_) => chacha::BLOCK,
        }
    }

    /// The keystream of up to [`WINDOW`] bytes of a record's text, from block `first` on, in bit planes.
    fn keystream<B: Backend<W = W>>(&self, b: &mut B, sequence: u64, first: usize, bytes: usize) -> [W; 8] {
        match self {
            Self::Aes(aes) => {
                aes.keystream(b, sequence, first as u32, bytes.div_ceil(self.block_bytes()) as u32)
            }
            Self::ChaCha(chacha) => chacha.keystream(b, sequence, first as u32),
        }
    }
}

/// The texts of the columns, one byte a word; of a column that the session does not have, none.
pub fn texts<B: Backend>(b: &mut B, session: &Session, columns: usize) -> Vec<Vec<B::W>> {
    let secret: Vec<_> = (0..HANDSHAKE_SECRET_BYTES).map(|_| b.input(8)).collect();
    let public = [&session.t1, &session.t2, &session.server_secret];
    let keys = keys::schedule(b, &secret, public, session.suite.key_bytes());
    let mut texts = alloc::vec![Vec::new(); columns];
    for (keys, records) in keys.iter().zip([&session.client, &session.server]) {
        let cipher = match session.suite {
            Suite::Aes128Gcm => Cipher::Aes(Aes::new(b, keys)),
            Suite::ChaCha20Poly1305 => Cipher::ChaCha(ChaCha::new(keys)),
        };
        let mut waiting = InertKind::ALL.map(Waiting::new);
        for (sequence, record) in (0..).zip(records) {
            read(b, &cipher, sequence, record, &mut texts, &mut waiting);
        }
        waiting.into_iter().for_each(|waiting| waiting.finish(b));
    }
    texts
}

/// The circuit's knowledge of a byte of plaintext.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Shown,
    Hidden,
    Unread,
}

/// One record's bytes.
fn read<B: Backend>(
    b: &mut B,
    cipher: &Cipher<B::W>,
    sequence: u64,
    record: &Record,
    texts: &mut [Vec<B::W>],
    waiting: &mut [Waiting<B::W>; InertKind::ALL.len()],
) {
    // The ciphertext, XOR the text where it is shown: there the keystream must be this, elsewhere it differs by the text.
    let mut bytes = record.ciphertext.clone();
    let mut known = alloc::vec![Known::Shown; bytes.len()];
    let mut hidden: Vec<(usize, usize, &Run)> = Vec::new();
    let mut at = 0;
    for run in &record.runs {
        let end = (at + run.len()).min(bytes.len());
        match run {
            Run::Shown(text) => xor(&mut bytes[at..end], text),
            Run::Ticket { .. } => known[at..end].fill(Known::Unread),
            Run::Column { .. } | Run::Inert { .. } => {
                known[at..end].fill(Known::Hidden);
                hidden.push((at, end, run));
            }
        }
        at = end;
    }
    // Behind the content stand its type, and zeros.
    xor(&mut bytes[at..], &[record.inner as u8]);
    if mutant!("session-padding-not-checked") {
        known[at + 1..].fill(Known::Hidden);
    }

    let block = cipher.block_bytes();
    let used =
        |i: usize| known.chunks(block).nth(i).is_some_and(|known| known.iter().any(|k| *k != Known::Unread));
    let (mut first, mut done, blocks) = (0, 0, bytes.len().div_ceil(block));
    while first < blocks {
        let next = (first..blocks.min(first + WINDOW / block)).find(|i| !used(*i));
        let next = next.unwrap_or(blocks.min(first + WINDOW / block));
        if next == first {
            first += 1;
            continue;
        }
        let (from, to) = (first * block, (next * block).min(bytes.len()));
        let (mut constant, mut shown) = ([0u64; 8], 0u64);
        for (i, (byte, known)) in bytes[from..to].iter().zip(&known[from..to]).enumerate() {
            for (k, plane) in constant.iter_mut().enumerate() {
                *plane |= u64::from(byte >> k & 1) << i;
            }
            shown |= u64::from(*known == Known::Shown) << i;
        }
        let mut planes = cipher.keystream(b, sequence, first, to - from);
        for (plane, constant) in planes.iter_mut().zip(constant) {
            *plane = (*plane ^ b.constant(constant)) & mask((to - from) as u32);
            if shown != 0 && !mutant!("session-shown-not-checked") {
                b.zero(*plane & shown, (to - from) as u32);
            }
        }
        while let Some((start, end, run)) = hidden.get(done).filter(|(start, ..)| *start < to) {
            let (lane, end_lane) = (start.max(&from) - from, end.min(&to) - from);
            hand_on(b, &planes, run, lane as u32..end_lane as u32, *start < from, texts, waiting);
            if *end > to {
                // Its rest is in the next window.
                break;
            }
            done += 1;
        }
        first = next;
    }
}

/// Bytes that are not shown, in these lanes; `inside`: not the first of their run.
fn hand_on<B: Backend>(
    b: &mut B,
    planes: &[B::W; 8],
    run: &Run,
    lanes: Range<u32>,
    inside: bool,
    texts: &mut [Vec<B::W>],
    waiting: &mut [Waiting<B::W>; InertKind::ALL.len()],
) {
    match run {
        Run::Column { column, .. } => {
            let text = texts.get_mut(usize::from(*column));
            let byte =
                |lane| (0..8).fold(B::W::ZERO, |byte, k| byte ^ (((planes[k] >> lane) & 1) << k as u32));
            text.into_iter().for_each(|text| text.extend(lanes.clone().map(byte)));
        }
        Run::Inert { kind, continued, .. } => {
            let waiting = &mut waiting[*kind as usize - 1];
            waiting.push(b, planes, lanes.start, lanes.end - lanes.start, *continued || inside);
        }
        Run::Shown(_) | Run::Ticket { .. } => {}
    }
}

fn xor(to: &mut [u8], with: &[u8]) {
    to.iter_mut().zip(with).for_each(|(to, with)| *to ^= with);
}
