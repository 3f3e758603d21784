//! AVX-512 with GFNI and VPCLMULQDQ: four products at a time, and bit matrices of eight by eight.
//!
//! GF2P8AFFINEQB (Intel, "Galois Field New Instructions", 2018) multiplies each byte of `x` by a bit matrix that its
//! eight bytes have in common: bit i of the result is the parity of the byte and the matrix's byte 7 - i. The second
//! instruction used here, GF2P8MULB, multiplies in GF(2)[x]/(x^8 + x^4 + x^3 + x + 1), which is the subfield of the
//! proofs' points.

use std::arch::x86_64::{
    __m512i, _mm512_bslli_epi128, _mm512_bsrli_epi128, _mm512_clmulepi64_epi128,
    _mm512_gf2p8affine_epi64_epi8, _mm512_gf2p8mul_epi8, _mm512_loadu_si512, _mm512_permutexvar_epi8,
    _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use tercet_mpc::compute::kernels::rows::{BLOCK_WORDS, columns_of, of_planes};
use tercet_mpc::compute::kernels::subfield::{BITS, COLUMNS, EXTENSION, LANES, PLANES, ROWS};
use tercet_mpc::field::Gf128;

use crate::{Call, processor};

/// True if the processor has it.
pub fn there() -> bool {
    processor::there()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vbmi")
        && std::arch::is_x86_feature_detected!("gfni")
        && std::arch::is_x86_feature_detected!("vpclmulqdq")
}

/// Declares functions that are compiled for these instructions.
macro_rules! compiled {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[target_feature(enable = "pclmulqdq,sse4.1,avx2,avx512f,avx512bw,avx512vbmi,gfni,vpclmulqdq")]
            #[inline]
            $vis fn $name($($arg: $type),*) $(-> $out)? $body
        )*
    };
}

/// Types of which every bit pattern is a value, so that a register can be filled with them.
trait Plain {}
impl Plain for [u8; 64] {}
impl Plain for [u64; 8] {}
impl Plain for [Gf128; 4] {}

#[allow(unsafe_code, reason = "reads as many bytes as the type has")]
#[target_feature(enable = "avx512f")]
#[inline]
fn load<T: Plain>(from: &T) -> __m512i {
    const { assert!(size_of::<T>() == 64) };
    // Safety: `from` is valid for 64 bytes; the instruction asks for no alignment.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(from).cast()) }
}

#[allow(unsafe_code, reason = "writes as many bytes as the type has")]
#[target_feature(enable = "avx512f")]
#[inline]
fn store<T: Plain>(v: __m512i, to: &mut T) {
    const { assert!(size_of::<T>() == 64) };
    // Safety: `to` is valid for 64 bytes, and any bytes are a value of a `Plain` type.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(to).cast(), v) }
}

/// Columns that are computed with at a time: the bits of a word.
const WORD: usize = 64;
/// Bytes of an element of K.
const BYTES: usize = 16;
/// Bytes that the bits of a column fill.
const COLUMN_BYTES: usize = ROWS / 8;

/// A block of bits, row by row.
type Block = [u64; BLOCK_WORDS];
/// For each byte of an element, eight bit matrices: those of the eight groups of columns.
type Matrices = [__m512i; BYTES];

/// Index of a permutation of 64 bytes.
macro_rules! index {
    (|$i:ident| $of:expr) => {{
        let mut list = [0u8; 64];
        let mut $i = 0;
        while $i < 64 {
            list[$i] = $of as u8;
            $i += 1;
        }
        list
    }};
}
/// Byte n of the word m to byte m of the word n: its own inverse.
const SWAP: [u8; 64] = index!(|i| 8 * (i % 8) + i / 8);
/// The same with the words in reverse order.
const SWAP_REVERSED: [u8; 64] = index!(|i| 8 * (7 - i % 8) + i / 8);
/// Each word's bytes in reverse order.
const REVERSE: [u8; 64] = index!(|i| i / 8 * 8 + 7 - i % 8);
/// Four elements to sixteen groups of the bytes that they have in one place, and back.
const GROUP: [u8; 64] = index!(|i| 16 * (i % 4) + i / 4);
const UNGROUP: [u8; 64] = index!(|i| 4 * (i % 16) + i / 16);
/// Bit n in byte n, and the other way round.
const UNITS: i64 = 0x8040_2010_0804_0201_u64.cast_signed();
const UNITS_REVERSED: i64 = 0x0102_0408_1020_4080;

compiled! {
    fn affine(x: __m512i, matrices: __m512i) -> __m512i {
        _mm512_gf2p8affine_epi64_epi8::<0>(x, matrices)
    }

    fn xor(a: __m512i, b: __m512i) -> __m512i {
        _mm512_xor_si512(a, b)
    }

    fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    /// Eight rows' bits of 64 columns: word n is row 8 k + n.
    fn eight_rows(block: &Block, lane: usize, k: usize) -> __m512i {
        let word = |n: usize| block[(8 * k + n) * LANES + lane].cast_signed();
        _mm512_set_epi64(word(7), word(6), word(5), word(4), word(3), word(2), word(1), word(0))
    }

    /// The bits of 64 columns: byte c of vector k has rows 8 k to 8 k + 7 of column c; in the reverse order within each
    /// eight columns if `units` are.
    fn columns(block: &Block, lane: usize, units: i64) -> [__m512i; COLUMN_BYTES] {
        let (swap, units) = (load(&SWAP_REVERSED), _mm512_set1_epi64(units));
        let mut bytes = [_mm512_setzero_si512(); COLUMN_BYTES];
        for (k, bytes) in bytes.iter_mut().enumerate() {
            *bytes = affine(units, _mm512_permutexvar_epi8(swap, eight_rows(block, lane, k)));
        }
        bytes
    }

    /// Transposes a square of 16 by 16 words of 32 bits.
    fn transpose(r: &[__m512i; 16]) -> [__m512i; 16] {
        let zero = _mm512_setzero_si512();
        let (mut t, mut u, mut out) = ([zero; 16], [zero; 16], [zero; 16]);
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            for half in 0..2 {
                let (a, b) = (t[4 * i + half], t[4 * i + half + 2]);
                u[4 * i + 2 * half] = _mm512_unpacklo_epi64(a, b);
                u[4 * i + 2 * half + 1] = _mm512_unpackhi_epi64(a, b);
            }
        }
        for c in 0..4 {
            let (low0, low1) = (
                _mm512_shuffle_i32x4::<0x44>(u[c], u[4 + c]),
                _mm512_shuffle_i32x4::<0x44>(u[8 + c], u[12 + c]),
            );
            let (high0, high1) = (
                _mm512_shuffle_i32x4::<0xee>(u[c], u[4 + c]),
                _mm512_shuffle_i32x4::<0xee>(u[8 + c], u[12 + c]),
            );
            out[c] = _mm512_shuffle_i32x4::<0x88>(low0, low1);
            out[4 + c] = _mm512_shuffle_i32x4::<0xdd>(low0, low1);
            out[8 + c] = _mm512_shuffle_i32x4::<0x88>(high0, high1);
            out[12 + c] = _mm512_shuffle_i32x4::<0xdd>(high0, high1);
        }
        out
    }

    /// Matrices that take the bits of eight elements' coefficients to a byte of their sum.
    fn matrices(elements: &[Gf128; WORD]) -> Matrices {
        let (group, reverse) = (load(&GROUP), load(&REVERSE));
        let units = _mm512_set1_epi64(UNITS_REVERSED);
        let mut square = [_mm512_setzero_si512(); 16];
        for (words, four) in square.iter_mut().zip(elements.as_chunks::<4>().0) {
            *words = _mm512_permutexvar_epi8(group, load(four));
        }
        let mut bytes = transpose(&square);
        for bytes in &mut bytes {
            *bytes = affine(units, _mm512_shuffle_epi8(*bytes, reverse));
        }
        bytes
    }

    /// Adds all words of each vector: byte n of the result j is byte j of element n.
    fn gather(sums: &[__m512i; BYTES]) -> [Gf128; 8] {
        let mut elements = [[0; BYTES]; 8];
        for (j, sum) in sums.iter().enumerate() {
            let mut words = [0u64; 8];
            store(*sum, &mut words);
            let word = words.iter().fold(0, |sum, word| sum ^ word);
            for (element, byte) in elements.iter_mut().zip(word.to_le_bytes()) {
                element[j] = byte;
            }
        }
        elements.map(Gf128::from_bytes)
    }

    fn row_sums(words: &[u64], weights: &[Gf128]) -> [Gf128; ROWS] {
        let mut sums = [[_mm512_setzero_si512(); BYTES]; COLUMN_BYTES];
        let swap = load(&SWAP);
        for (block, weights) in words.as_chunks::<BLOCK_WORDS>().0.iter().zip(weights.as_chunks::<COLUMNS>().0) {
            for (lane, weights) in weights.as_chunks::<WORD>().0.iter().enumerate() {
                let matrices = matrices(weights);
                for (k, sums) in sums.iter_mut().enumerate() {
                    // Word g: byte n has row 8 k + n's bits of the columns 8 g to 8 g + 7.
                    let bits = _mm512_permutexvar_epi8(swap, eight_rows(block, lane, k));
                    for (sum, matrix) in sums.iter_mut().zip(&matrices) {
                        *sum = xor(*sum, affine(bits, *matrix));
                    }
                }
            }
        }
        let mut rows = [Gf128::ZERO; ROWS];
        for (rows, sums) in rows.as_chunks_mut::<8>().0.iter_mut().zip(&sums) {
            *rows = gather(sums);
        }
        rows
    }

    fn values(halves: [&[u64]; 2], coefficients: &[Gf128; ROWS]) -> Vec<Gf128> {
        let mut padded = [Gf128::ZERO; WORD];
        padded[..ROWS].copy_from_slice(coefficients);
        // Matrix k of each vector is that of the rows 8 k to 8 k + 7.
        let mut of_bytes = [[0u64; 8]; BYTES];
        for (words, matrices) in of_bytes.iter_mut().zip(&matrices(&padded)) {
            store(*matrices, words);
        }
        let ungroup = load(&UNGROUP);
        let mut out = vec![Gf128::ZERO; halves.map(|words| columns_of(words.len())).iter().sum()];
        let mut to = out.as_chunks_mut::<WORD>().0.iter_mut();
        for block in halves.iter().flat_map(|words| words.as_chunks::<BLOCK_WORDS>().0) {
            for lane in 0..LANES {
                let [a, b, c, d] = columns(block, lane, UNITS);
                let mut bytes = [_mm512_setzero_si512(); BYTES];
                for (byte, matrices) in bytes.iter_mut().zip(&of_bytes) {
                    let by = |k: usize| _mm512_set1_epi64(matrices[k].cast_signed());
                    let low = xor3(affine(a, by(0)), affine(b, by(1)), affine(c, by(2)));
                    *byte = xor(low, affine(d, by(3)));
                }
                if let Some(to) = to.next() {
                    for (four, words) in to.as_chunks_mut::<4>().0.iter_mut().zip(&transpose(&bytes)) {
                        store(_mm512_permutexvar_epi8(ungroup, *words), four);
                    }
                }
            }
        }
        out
    }

    fn coset_sums(x: [&[u64]; 2], y: [&[u64]; 2], weights: &[Gf128]) -> [Gf128; ROWS] {
        let zero = _mm512_setzero_si512();
        let mut sums = [[zero; ROWS]; BYTES];
        let [x0, x1] = x.map(|words| words.as_chunks::<BLOCK_WORDS>().0);
        let [y0, y1] = y.map(|words| words.as_chunks::<BLOCK_WORDS>().0);
        let all = x0.iter().zip(x1).zip(y0.iter().zip(y1)).zip(weights.as_chunks::<COLUMNS>().0);
        for (((x0, x1), (y0, y1)), weights) in all {
            let mut planes = [[zero; ROWS]; LANES];
            let mut by = [[zero; BYTES]; LANES];
            for (lane, weights) in weights.as_chunks::<WORD>().0.iter().enumerate() {
                by[lane] = matrices(weights);
                products([x0, x1, y0, y1], lane, &mut planes[lane]);
            }
            for (j, sums) in sums.iter_mut().enumerate() {
                let [a, b, c, d] = [by[0][j], by[1][j], by[2][j], by[3][j]];
                for (s, sum) in sums.iter_mut().enumerate() {
                    let more = xor3(*sum, affine(planes[0][s], a), affine(planes[1][s], b));
                    *sum = xor3(more, affine(planes[2][s], c), affine(planes[3][s], d));
                }
            }
        }
        let mut of_bits = [Gf128::ZERO; PLANES];
        for (s, bits) in of_bits.as_chunks_mut::<BITS>().0.iter_mut().enumerate() {
            let mut of_point = [zero; BYTES];
            for (to, sums) in of_point.iter_mut().zip(&sums) {
                *to = sums[s];
            }
            *bits = gather(&of_point);
        }
        of_planes(&of_bits)
    }

    /// For each point of the coset the values of `x0 y1 + y0 x1` in 64 columns: byte b of word g has their bits b in the
    /// columns 8 g to 8 g + 7.
    fn products(operands: [&Block; 4], lane: usize, planes: &mut [__m512i; ROWS]) {
        let [x0, x1, y0, y1] = operands;
        // Reversed, as a matrix's rows are.
        let (x0, x1) = (columns(x0, lane, UNITS_REVERSED), columns(x1, lane, UNITS_REVERSED));
        let (y0, y1) = (columns(y0, lane, UNITS_REVERSED), columns(y1, lane, UNITS_REVERSED));
        let units = _mm512_set1_epi64(UNITS);
        for (plane, matrices) in planes.iter_mut().zip(&EXTENDING) {
            let (x0, x1) = (at_point(&x0, matrices), at_point(&x1, matrices));
            let (y0, y1) = (at_point(&y0, matrices), at_point(&y1, matrices));
            *plane = affine(units, xor(_mm512_gf2p8mul_epi8(x0, y1), _mm512_gf2p8mul_epi8(y0, x1)));
        }
    }

    /// The values of 64 columns as polynomials at a point.
    fn at_point(columns: &[__m512i; COLUMN_BYTES], matrices: &[u64; COLUMN_BYTES]) -> __m512i {
        let by = |k: usize| _mm512_set1_epi64(matrices[k].cast_signed());
        let low = xor3(affine(columns[0], by(0)), affine(columns[1], by(1)), affine(columns[2], by(2)));
        xor(low, affine(columns[3], by(3)))
    }

    /// Products before reduction: low and high halves.
    fn wide(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        let (low, high) = (_mm512_clmulepi64_epi128::<0x00>(a, b), _mm512_clmulepi64_epi128::<0x11>(a, b));
        let middle = xor(_mm512_clmulepi64_epi128::<0x01>(a, b), _mm512_clmulepi64_epi128::<0x10>(a, b));
        (xor(low, _mm512_bslli_epi128::<8>(middle)), xor(high, _mm512_bsrli_epi128::<8>(middle)))
    }

    /// As the function of this name for one product.
    fn reduce(product: (__m512i, __m512i)) -> __m512i {
        let (low, high) = product;
        let rest = _mm512_set_epi64(0, 0x87, 0, 0x87, 0, 0x87, 0, 0x87);
        let top = _mm512_clmulepi64_epi128::<0x01>(high, rest);
        let over = _mm512_clmulepi64_epi128::<0x01>(top, rest);
        let folded = xor(_mm512_clmulepi64_epi128::<0x00>(high, rest), _mm512_bslli_epi128::<8>(top));
        xor3(low, folded, over)
    }

    fn splat(element: Gf128) -> __m512i {
        load(&[element; 4])
    }

    /// The sum of four products.
    fn total(product: (__m512i, __m512i)) -> Gf128 {
        let mut four = [Gf128::ZERO; 4];
        store(reduce(product), &mut four);
        four.into_iter().sum()
    }

    pub fn run(call: Call<'_>) -> [Gf128; 2] {
        let zero = _mm512_setzero_si512();
        // What does not fill a register goes to the other one.
        match call {
            Call::Scale(values, by) => {
                let (fours, rest) = values.as_chunks_mut::<4>();
                let factor = splat(by);
                for four in fours {
                    store(reduce(wide(load(four), factor)), four);
                }
                processor::run(Call::Scale(rest, by))
            }
            Call::Multiply(a, b) => {
                let count = a.len().min(b.len());
                let ((fours, rest_a), (b, rest_b)) = (a[..count].as_chunks_mut::<4>(), b[..count].as_chunks::<4>());
                for (a, b) in fours.iter_mut().zip(b) {
                    store(reduce(wide(load(a), load(b))), a);
                }
                processor::run(Call::Multiply(rest_a, rest_b))
            }
            Call::Fold(v0, v1, point) => {
                let count = v0.len().min(v1.len());
                let ((v0, rest0), (v1, rest1)) = (v0[..count].as_chunks_mut::<4>(), v1[..count].as_chunks::<4>());
                let factor = splat(point);
                for (a, b) in v0.iter_mut().zip(v1) {
                    let value = load(a);
                    store(xor(value, reduce(wide(factor, xor(value, load(b))))), a);
                }
                processor::run(Call::Fold(rest0, rest1, point))
            }
            Call::Halves((a0, a1), (b0, b1)) => {
                let count = a0.len().min(a1.len()).min(b0.len()).min(b1.len());
                let ((a0, ra0), (a1, ra1)) = (a0[..count].as_chunks::<4>(), a1[..count].as_chunks::<4>());
                let ((b0, rb0), (b1, rb1)) = (b0[..count].as_chunks::<4>(), b1[..count].as_chunks::<4>());
                let (mut low, mut top) = ((zero, zero), (zero, zero));
                for ((a0, a1), (b0, b1)) in a0.iter().zip(a1).zip(b0.iter().zip(b1)) {
                    let (a0, a1, b0, b1) = (load(a0), load(a1), load(b0), load(b1));
                    let (l, t) = (wide(a0, b0), wide(xor(a0, a1), xor(b0, b1)));
                    low = (xor(low.0, l.0), xor(low.1, l.1));
                    top = (xor(top.0, t.0), xor(top.1, t.1));
                }
                let rest = processor::run(Call::Halves((ra0, ra1), (rb0, rb1)));
                [total(low) + rest[0], total(top) + rest[1]]
            }
            Call::Dot(a, b) => {
                let count = a.len().min(b.len());
                let ((a, rest_a), (b, rest_b)) = (a[..count].as_chunks::<4>(), b[..count].as_chunks::<4>());
                let mut sum = (zero, zero);
                for (a, b) in a.iter().zip(b) {
                    let product = wide(load(a), load(b));
                    sum = (xor(sum.0, product.0), xor(sum.1, product.1));
                }
                let [rest, _] = processor::run(Call::Dot(rest_a, rest_b));
                [total(sum) + rest, Gf128::ZERO]
            }
            Call::RowSums(words, weights, to) => {
                *to = row_sums(words, weights);
                [Gf128::ZERO; 2]
            }
            Call::Values(halves, coefficients, to) => {
                *to = values(halves, coefficients);
                [Gf128::ZERO; 2]
            }
            Call::CosetSums(x, y, weights, to) => {
                *to = coset_sums(x, y, weights);
                [Gf128::ZERO; 2]
            }
        }
    }
}

/// For each point of the coset, matrices that turn the bits of eight rows into their part of the value there.
const EXTENDING: [[u64; COLUMN_BYTES]; ROWS] = {
    let mut matrices = [[0; COLUMN_BYTES]; ROWS];
    let mut s = 0;
    while s < ROWS {
        let mut k = 0;
        while k < COLUMN_BYTES {
            let mut bit = 0;
            while bit < BITS {
                let rows = EXTENSION[s * BITS + bit] >> (8 * k) & 0xff;
                matrices[s][k] |= (rows as u64) << (8 * (BITS - 1 - bit));
                bit += 1;
            }
            k += 1;
        }
        s += 1;
    }
    matrices
};
