//! The bytes that inert places admit, exhaustively; inversions.

use alloc::vec;
use alloc::vec::Vec;

use super::inert::Waiting;
use crate::bits::{BitReader, Words};
use crate::circuit::{Backend, Counter, Plain};
use crate::statement::session::InertKind;

/// True if the circuit admits these bytes in places of this kind; each piece says if it continues the place before.
fn admitted(kind: InertKind, pieces: &[(&[u8], bool)]) -> bool {
    let mut plain = Plain::new(&[], &[], &Counter::default());
    let mut waiting = Waiting::new(kind);
    for (bytes, continued) in pieces {
        let mut planes = [Words([0]); 8];
        for (i, byte) in bytes.iter().enumerate() {
            for (k, plane) in planes.iter_mut().enumerate() {
                plane.0[0] |= u64::from(byte >> k & 1) << i;
            }
        }
        waiting.push(&mut plain, &planes, 0, bytes.len() as u32, *continued);
    }
    waiting.finish(&mut plain);
    plain.finish().zeros.iter().all(|w| w.0 == [0])
}

/// The definition.
fn clear(kind: InertKind, text: &[u8]) -> bool {
    match kind {
        InertKind::Text => text.iter().all(|b| *b >= 0x20 && *b != b'"' && *b != b'\\'),
        InertKind::HeaderValue => text.iter().all(|b| *b >= 0x20),
        InertKind::Number => text.iter().all(|b| b"0123456789+-.eE".contains(b)),
        InertKind::EscapedText => {
            let mut escaped = false;
            for byte in text {
                if *byte < 0x20 || (*byte == b'"' && !escaped) {
                    return false;
                }
                escaped = *byte == b'\\' && !escaped;
            }
            !escaped
        }
    }
}

#[test]
fn every_byte_of_every_kind() {
    for kind in InertKind::ALL {
        for byte in 0..=255 {
            assert_eq!(admitted(kind, &[(&[byte], false)]), clear(kind, &[byte]), "{kind:?} {byte}");
            // Beside 63 good ones, in the last lane; and in the next word.
            let mut text = vec![b'1'; 64];
            text[63] = byte;
            assert_eq!(admitted(kind, &[(&text, false)]), clear(kind, &text), "{kind:?} {byte}");
            let pieces: [(&[u8], bool); 2] = [(&text[1..], false), (&text[60..], true)];
            let whole = [&text[1..], &text[60..]].concat();
            assert_eq!(admitted(kind, &pieces), clear(kind, &whole), "{kind:?} {byte}");
        }
    }
}

#[test]
fn escapes_are_followed_through_all_short_texts_and_pieces() {
    let alphabet = b"\\\"a\x1f";
    let mut texts: Vec<Vec<u8>> = vec![vec![]];
    for _ in 0..5 {
        let longer = |t: &Vec<u8>| alphabet.map(|c| [&t[..], &[c]].concat());
        texts = texts.iter().flat_map(longer).collect();
        for text in &texts {
            let expected = clear(InertKind::EscapedText, text);
            assert_eq!(admitted(InertKind::EscapedText, &[(text, false)]), expected, "{text:?}");
            for cut in 1..text.len() {
                let (a, b) = text.split_at(cut);
                let joined = admitted(InertKind::EscapedText, &[(a, false), (b, true)]);
                assert_eq!(joined, expected, "{text:?} at {cut}");
                // Two places: each must be whole.
                let apart = admitted(InertKind::EscapedText, &[(a, false), (b, false)]);
                let both = clear(InertKind::EscapedText, a) && clear(InertKind::EscapedText, b);
                assert_eq!(apart, both, "{text:?} at {cut}");
            }
            // The text's end is in the next word.
            let filler = vec![b'x'; 62];
            let pieces: [(&[u8], bool); 2] = [(&filler, false), (text, true)];
            assert_eq!(admitted(InertKind::EscapedText, &pieces), expected, "{text:?}");
        }
    }
}

/// Shift and add in AES's field.
fn times(mut a: u8, b: u8) -> u8 {
    let mut r = 0;
    for i in 0..8 {
        if b >> i & 1 == 1 {
            r ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1b };
    }
    r
}

#[test]
fn inverses_are_the_definition() {
    let mut plain = Plain::new(&[], &[], &Counter::default());
    for start in (0..=255u8).step_by(64) {
        let mut planes = [Words([0]); 8];
        for i in 0..64 {
            for (k, plane) in planes.iter_mut().enumerate() {
                plane.0[0] |= u64::from((start + i) >> k & 1) << i;
            }
        }
        let inverses = plain.invert(planes, 64);
        for i in 0..64 {
            let y = (0..8).fold(0, |y, k| y | ((inverses[k].0[0] >> i & 1) as u8) << k);
            let x = start + i;
            assert_eq!(times(x, y), u8::from(x != 0), "{x}");
            assert_eq!((times(times(x, x), y), times(x, times(y, y))), (x, y));
        }
    }
    // Nothing else satisfies both gates.
    for x in 0..=255 {
        let fits = |y: &u8| times(times(x, x), *y) == x && times(x, times(*y, *y)) == *y;
        assert_eq!((0..=255).filter(fits).count(), 1, "{x}");
    }
    let streams = plain.finish();
    let first = BitReader::new(&streams.inverted[0]).read(64);
    assert_eq!(first.0[0], 0xaaaa_aaaa_aaaa_aaaa);
}
