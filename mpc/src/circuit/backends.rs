//! The three ways to evaluate a circuit.

use alloc::vec::Vec;

use zeroize::Zeroize;

use super::{Backend, Wide};
use crate::bits::{BitReader, BitWriter, Bits, Words, mask};

/// Counts gates and checked wires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// AND gates.
    pub gates: usize,
    /// Inversions of bytes, two byte gates each.
    pub inversions: usize,
    /// Wires that must be zero.
    pub zeros: usize,
}

impl Backend for Counter {
    type W = Words<0>;

    fn constant(&mut self, _: u64) -> Words<0> {
        Words([])
    }
    fn input(&mut self, _: u32) -> Words<0> {
        Words([])
    }
    fn lane(&mut self) -> [Wide<Words<0>>; 3] {
        Default::default()
    }
    fn and(&mut self, _: Words<0>, _: Words<0>, width: u32) -> Words<0> {
        self.gates += width as usize;
        Words([])
    }
    fn carry(&mut self, _: Words<0>, _: Words<0>, _: Words<0>, gates: u32) -> (Words<0>, Words<0>) {
        self.gates += gates as usize;
        (Words([]), Words([]))
    }
    fn invert(&mut self, _: [Words<0>; 8], width: u32) -> [Words<0>; 8] {
        self.inversions += width as usize;
        [Words([]); 8]
    }
    fn zero(&mut self, _: Words<0>, width: u32) {
        self.zeros += width as usize;
    }
}

/// The streams that an evaluation leaves behind, bit-tight, in gate order.
#[derive(Clone, Default)]
pub struct Streams<W> {
    /// Left inputs of the gates.
    pub left: Vec<W>,
    /// Right inputs.
    pub right: Vec<W>,
    /// Outputs (only [`Plain`] fills it; the others read it).
    pub out: Vec<W>,
    /// Bytes that are inverted, bit by bit.
    pub inverted: [Vec<W>; 8],
    /// Their inverses (only [`Plain`] fills it; the others read it).
    pub inverses: [Vec<W>; 8],
    /// Wires that must be zero.
    pub zeros: Vec<W>,
}

impl<W: Zeroize> Zeroize for Streams<W> {
    fn zeroize(&mut self) {
        let Self { left, right, out, inverted, inverses, zeros } = self;
        let bytes = inverted.iter_mut().chain(inverses);
        [left, right, out, zeros].into_iter().chain(bytes).for_each(Zeroize::zeroize);
    }
}

/// Evaluates plain values and records every gate.
pub struct Plain<'a> {
    inputs: BitReader<'a, Words<1>>,
    lanes: core::slice::Iter<'a, [u128; 3]>,
    left: BitWriter<Words<1>>,
    right: BitWriter<Words<1>>,
    out: BitWriter<Words<1>>,
    inverted: [BitWriter<Words<1>>; 8],
    inverses: [BitWriter<Words<1>>; 8],
    zeros: BitWriter<Words<1>>,
}

impl<'a> Plain<'a> {
    /// `inputs`: values and blinders, or a session's secret, bit-tight; `lanes`: the three arithmetic shares of each
    /// lane; `sizes`: the expected lengths. If they are right, nothing that is recorded is ever moved in memory.
    pub fn new(inputs: &'a [Words<1>], lanes: &'a [[u128; 3]], sizes: &Counter) -> Self {
        let Counter { gates, inversions, zeros } = *sizes;
        Self {
            inputs: BitReader::new(inputs),
            lanes: lanes.iter(),
            left: BitWriter::with_capacity(gates),
            right: BitWriter::with_capacity(gates),
            out: BitWriter::with_capacity(gates),
            inverted: core::array::from_fn(|_| BitWriter::with_capacity(inversions)),
            inverses: core::array::from_fn(|_| BitWriter::with_capacity(inversions)),
            zeros: BitWriter::with_capacity(zeros),
        }
    }

    /// The recorded streams.
    pub fn finish(self) -> Streams<Words<1>> {
        Streams {
            left: self.left.finish(),
            right: self.right.finish(),
            out: self.out.finish(),
            inverted: self.inverted.map(BitWriter::finish),
            inverses: self.inverses.map(BitWriter::finish),
            zeros: self.zeros.finish(),
        }
    }
}

impl Backend for Plain<'_> {
    type W = Words<1>;

    fn constant(&mut self, value: u64) -> Words<1> {
        Words([value])
    }

    fn input(&mut self, width: u32) -> Words<1> {
        self.inputs.read(width)
    }

    fn lane(&mut self) -> [Wide<Words<1>>; 3] {
        let shares = self.lanes.next().copied().unwrap_or_default();
        shares.map(|x| [Words([x as u64]), Words([(x >> 64) as u64])])
    }

    #[inline]
    fn and(&mut self, a: Words<1>, b: Words<1>, width: u32) -> Words<1> {
        let out = Words([a.0[0] & b.0[0]]);
        self.left.push(a, width);
        self.right.push(b, width);
        self.out.push(out, width);
        out
    }

    #[inline]
    fn carry(&mut self, a: Words<1>, b: Words<1>, carry_in: Words<1>, gates: u32) -> (Words<1>, Words<1>) {
        let ([x], [y], [z]) = (a.0, b.0, carry_in.0);
        let carries = (u128::from(x) + u128::from(y) + u128::from(z)) ^ u128::from(x) ^ u128::from(y);
        let c = Words([carries as u64]);
        let (left, right) = ((a ^ c) & mask(gates), (b ^ c) & mask(gates));
        self.left.push(left, gates);
        self.right.push(right, gates);
        self.out.push(Words([left.0[0] & right.0[0]]), gates);
        (c, Words([(carries >> gates) as u64 & 1]))
    }

    fn invert(&mut self, x: [Words<1>; 8], width: u32) -> [Words<1>; 8] {
        let y = inverse(x.map(|x| x.0[0])).map(|y| Words([y]));
        for (to, word) in self.inverted.iter_mut().zip(x).chain(self.inverses.iter_mut().zip(y)) {
            to.push(word, width);
        }
        y
    }

    fn zero(&mut self, word: Words<1>, width: u32) {
        self.zeros.push(word, width);
    }
}

/// The product of 64 bytes with 64 others in AES's field, bit by bit.
fn multiply(a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
    let mut wide = [0; 15];
    for (i, a) in a.into_iter().enumerate() {
        for (to, b) in wide[i..].iter_mut().zip(b) {
            *to ^= a & b;
        }
    }
    // x^8 = x^4 + x^3 + x + 1.
    for k in (8..15).rev() {
        for to in [k - 8, k - 7, k - 5, k - 4] {
            wide[to] ^= wide[k];
        }
    }
    core::array::from_fn(|k| wide[k])
}

/// The inverses of 64 bytes, zero for zero: x^254, without tables or branches.
fn inverse(x: [u64; 8]) -> [u64; 8] {
    let square = |x, n| (0..n).fold(x, |x, _| multiply(x, x));
    let two = square(x, 1);
    let twelve = square(multiply(two, x), 2);
    let fifteen = multiply(twelve, multiply(two, x));
    multiply(multiply(square(fifteen, 4), twelve), two)
}

/// Evaluates N XOR shares side by side: linear, because AND outputs are read from the witness.
pub struct Shares<'a, const N: usize> {
    /// All ones for the share that carries constants, zero for others.
    ones: Words<N>,
    inputs: BitReader<'a, Words<N>>,
    lanes: core::slice::Iter<'a, [Wide<Words<N>>; 3]>,
    out: BitReader<'a, Words<N>>,
    inverses: [BitReader<'a, Words<N>>; 8],
    left: BitWriter<Words<N>>,
    right: BitWriter<Words<N>>,
    inverted: [BitWriter<Words<N>>; 8],
    zeros: BitWriter<Words<N>>,
}

impl<'a, const N: usize> Shares<'a, N> {
    /// `indices`: which share each lane of the words is; constants count on share 0. `inputs`, `out`: the
    /// shares' bits, interleaved; `lanes`: for each lane its three arithmetic shares, zero where a share of the
    /// witness does not carry them; `inverses`: the bits of the inverses of bytes; `gates`: how many gates to expect.
    pub fn new(
        indices: [usize; N],
        inputs: &'a [Words<N>],
        lanes: &'a [[Wide<Words<N>>; 3]],
        out: &'a [Words<N>],
        inverses: [&'a [Words<N>]; 8],
        gates: usize,
    ) -> Self {
        Self {
            ones: Words(indices.map(|i| if i == 0 { u64::MAX } else { 0 })),
            inputs: BitReader::new(inputs),
            lanes: lanes.iter(),
            out: BitReader::new(out),
            inverses: inverses.map(BitReader::new),
            left: BitWriter::with_capacity(gates),
            right: BitWriter::with_capacity(gates),
            inverted: Default::default(),
            zeros: BitWriter::with_capacity(1024),
        }
    }

    /// The recorded streams; `out` and `inverses` stay empty.
    pub fn finish(self) -> Streams<Words<N>> {
        Streams {
            left: self.left.finish(),
            right: self.right.finish(),
            out: Vec::new(),
            inverted: self.inverted.map(BitWriter::finish),
            inverses: Default::default(),
            zeros: self.zeros.finish(),
        }
    }
}

impl<const N: usize> Backend for Shares<'_, N> {
    type W = Words<N>;

    fn constant(&mut self, value: u64) -> Words<N> {
        self.ones & value
    }

    fn input(&mut self, width: u32) -> Words<N> {
        self.inputs.read(width)
    }

    fn lane(&mut self) -> [Wide<Words<N>>; 3] {
        self.lanes.next().copied().unwrap_or_default()
    }

    #[inline]
    fn and(&mut self, a: Words<N>, b: Words<N>, width: u32) -> Words<N> {
        self.left.push(a, width);
        self.right.push(b, width);
        self.out.read(width)
    }

    #[inline]
    fn carry(&mut self, a: Words<N>, b: Words<N>, carry_in: Words<N>, gates: u32) -> (Words<N>, Words<N>) {
        // The carry into bit i + 1 is the carry into bit i XOR gate i's output.
        let toggles = self.out.read(gates).prefix_xor();
        let c = (toggles << 1) ^ carry_in.splat();
        self.left.push((a ^ c) & mask(gates), gates);
        self.right.push((b ^ c) & mask(gates), gates);
        (c, ((toggles >> (gates - 1)) & 1) ^ carry_in)
    }

    fn invert(&mut self, x: [Words<N>; 8], width: u32) -> [Words<N>; 8] {
        for (to, word) in self.inverted.iter_mut().zip(x) {
            to.push(word, width);
        }
        self.inverses.each_mut().map(|y| y.read(width))
    }

    fn zero(&mut self, word: Words<N>, width: u32) {
        self.zeros.push(word, width);
    }
}
