//! Bytes that the provider keeps to itself are proven to have the property that their place demands.
//!
//! Bytes lie in bit planes; up to 64 of one kind are checked together.

use crate::bits::{Bits, mask};
use crate::circuit::Backend;
use crate::mutant;
use crate::statement::session::InertKind;

type Planes<W> = [W; 8];

/// Bytes that wait to be checked.
pub struct Waiting<W> {
    kind: InertKind,
    planes: Planes<W>,
    count: u32,
    /// Bit 0 is set if the next byte is behind a backslash that escapes it.
    escaped: W,
}

impl<W: Bits> Waiting<W> {
    pub fn new(kind: InertKind) -> Self {
        Self { kind, planes: [W::ZERO; 8], count: 0, escaped: W::ZERO }
    }

    /// Takes the bytes of `length` lanes from lane `start` on. A new place begins unless it is `continued`.
    pub fn push<B: Backend<W = W>>(
        &mut self,
        b: &mut B,
        planes: &Planes<W>,
        start: u32,
        length: u32,
        continued: bool,
    ) {
        if !continued {
            self.end_place(b);
        }
        let (mut start, mut length) = (start, length);
        while length > 0 {
            let taken = length.min(64 - self.count);
            for (to, from) in self.planes.iter_mut().zip(planes) {
                *to ^= ((*from >> start) & mask(taken)) << self.count;
            }
            self.count += taken;
            (start, length) = (start + taken, length - taken);
            if self.count == 64 {
                self.check(b);
            }
        }
    }

    /// The last place ends: no backslash is left open. Escapes are followed from byte to byte, so bytes of two places
    /// are never checked together.
    pub fn end_place<B: Backend<W = W>>(&mut self, b: &mut B) {
        if self.kind == InertKind::EscapedText {
            self.check(b);
            if !mutant!("session-escape-left-open") {
                b.zero(self.escaped, 1);
            }
            self.escaped = W::ZERO;
        }
    }

    /// Nothing follows.
    pub fn finish<B: Backend<W = W>>(mut self, b: &mut B) {
        self.check(b);
        self.end_place(b);
    }

    fn check<B: Backend<W = W>>(&mut self, b: &mut B) {
        let (planes, width) = (self.planes, self.count);
        if width == 0 {
            return;
        }
        if mutant!("session-inert-not-checked") {
            (self.planes, self.count) = ([W::ZERO; 8], 0);
            return;
        }
        match self.kind {
            InertKind::Text => {
                let [control, quote, backslash] = special(b, planes, width);
                // A byte is at most one of the three.
                b.zero(control ^ quote ^ backslash, width);
            }
            InertKind::EscapedText => {
                let [control, quote, backslash] = special(b, planes, width);
                b.zero(control, width);
                let one = b.constant(1);
                let mut escaped = W::ZERO;
                for i in 0..width {
                    escaped ^= self.escaped << i;
                    self.escaped = b.and((backslash >> i) & 1, self.escaped ^ one, 1);
                }
                let ones = b.constant(mask(width));
                let bare = b.and(quote, escaped ^ ones, width);
                b.zero(bare, width);
            }
            InertKind::Number => number(b, planes, width),
            InertKind::HeaderValue => {
                let ones = b.constant(mask(width));
                let high = b.and(planes[6] ^ ones, planes[7] ^ ones, width);
                let control = b.and(high, planes[5] ^ ones, width);
                b.zero(control, width);
            }
        }
        (self.planes, self.count) = ([W::ZERO; 8], 0);
    }
}

/// The positions of control characters (below 0x20), quotes (0x22) and backslashes (0x5c): eleven gates a byte.
fn special<B: Backend>(b: &mut B, planes: Planes<B::W>, width: u32) -> [B::W; 3] {
    let ones = b.constant(mask(width));
    let [_, b1, b2, b3, b4, ..] = planes;
    let [n0, _, n2, n3, n4, n5, n6, n7] = planes.map(|plane| plane ^ ones);
    let mut and = |x, y| b.and(x, y, width);
    let below_64 = and(n6, n7);
    let control = and(below_64, n5);
    let neither = and(n3, n2);
    let two = and(b1, n0);
    // 001 00010: what is below 64 and no control character has bit 5.
    let low = and(neither, two);
    let low = and(low, n4);
    let quote = and(low, below_64 ^ control);
    // 010 11100: n7 b6 = n7 - n7 n6, b3 b2 and n1 n0 likewise.
    let high = and(n7 ^ below_64, n5);
    let low = and(neither ^ ones ^ b3 ^ b2, n0 ^ two);
    let low = and(low, b4);
    let backslash = and(low, high);
    [control, quote, backslash]
}

/// Checks that bytes belong to a JSON number: digits, `+ - .`, `e E`. Twelve gates a byte.
fn number<B: Backend>(b: &mut B, planes: Planes<B::W>, width: u32) {
    let ones = b.constant(mask(width));
    let [b0, b1, b2, b3, b4, b5, letter, b7] = planes;
    b.zero(b7, width);
    // 0x40 and above: no bit 4. Below: bit 5.
    let wrong = b.and(letter, b4, width);
    b.zero(wrong, width);
    let wrong = b.and(letter ^ ones, b5 ^ ones, width);
    b.zero(wrong, width);
    // With bit 4 it is a digit: bit 3 excludes bits 1 and 2.
    let both = b.and(b2, b1, width);
    let above_nine = b.and(b3, b2 ^ b1 ^ both, width);
    let wrong = b.and(b4, above_nine, width);
    b.zero(wrong, width);
    // Neither letter nor digit: 1011, 1101, 1110, so bit 3 and exactly two of the others.
    let one_and_0 = b.and(b0, b2 ^ b1, width);
    let all = b.and(both, b0, width);
    let sign = b.and(b3, both ^ one_and_0 ^ all, width);
    let wrong = b.and(ones ^ letter ^ b4, sign ^ ones, width);
    b.zero(wrong, width);
    // A letter ends with 0101.
    let five = b.and(b2 ^ both, b0, width);
    let five = b.and(five, b3 ^ ones, width);
    let wrong = b.and(letter, five ^ ones, width);
    b.zero(wrong, width);
}
