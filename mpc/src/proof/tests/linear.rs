//! The linear prover against the definition of its proof.

use super::super::points::Subspace;
use super::*;
use crate::compute::kernels::subfield::THETA;
use crate::field::horner;

#[test]
fn the_prover_gives_the_definitions_values() {
    let mut state = 5u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 29
    };
    // Few columns of each kind, so many that each width of bit slices is used, and none.
    for (log_rows, gates, inversions) in
        [(6, 300, 130), (7, 9_000, 0), (6, 20_000, 64), (6, 0, 5_000), (8, 1, 1)]
    {
        let n = 1 << log_rows;
        let columns = |wires: usize| wires.div_ceil(n);
        let layout = Layout {
            input_bytes: 0,
            lanes: 0,
            gates,
            inversions,
            zeros: 0,
            log_rows,
            columns: columns(gates) + 2 * columns(inversions),
        };
        let mut bits = |wires: usize| -> Vec<Words<1>> {
            let word = |i: usize| {
                let used = (wires - 64 * i).min(64) as u32;
                Words([next() & crate::bits::mask(used)])
            };
            (0..wires.div_ceil(64)).map(word).collect()
        };
        let streams = Streams {
            left: bits(gates),
            right: bits(gates),
            inverted: core::array::from_fn(|_| bits(inversions)),
            inverses: core::array::from_fn(|_| bits(inversions)),
            ..Streams::default()
        };
        let gamma = Gf128(u128::from(next()) << 64 | u128::from(next()));
        let masks: Vec<Gf128> =
            (0..2 * layout.columns).map(|_| Gf128(u128::from(next()) << 64 | u128::from(next()))).collect();
        let proof = prove_gates(&layout, gamma, &streams, masks.clone(), &OneCore, &mut |_| {});
        assert_eq!(proof.len(), layout.proof_elements());
        assert_eq!(proof[..2 * layout.columns], masks);

        // Every column's values on V, by kind.
        let bit = |stream: &[Words<1>], i: usize| {
            Gf128(u128::from(stream.get(i / 64).map_or(0, |w| w.0[0] >> (i % 64) & 1)))
        };
        let byte = |bits: &[Vec<Words<1>>; 8], i: usize| horner(THETA, bits.iter().rev().map(|b| bit(b, i)));
        let (mut left, mut right): (Vec<Vec<Gf128>>, Vec<Vec<Gf128>>) = (Vec::new(), Vec::new());
        let mut column = |count: usize, f: &dyn Fn(usize) -> Gf128, g: &dyn Fn(usize) -> Gf128| {
            for l in 0..columns(count) {
                left.push((0..n).map(|j| f(l * n + j)).collect());
                right.push((0..n).map(|j| g(l * n + j)).collect());
            }
        };
        let (x, y) = (|i| byte(&streams.inverted, i), |i| byte(&streams.inverses, i));
        column(gates, &|i| bit(&streams.left, i), &|i| bit(&streams.right, i));
        column(inversions, &|i| x(i).square(), &y);
        column(inversions, &x, &|i| y(i).square());
        assert_eq!(left.len(), layout.columns);

        let (rows, next_rows) = (Subspace::new(log_rows), Subspace::new(log_rows + 1));
        let (u, v) = masks.split_at(layout.columns);
        let value = |at: Gf128| {
            let products = (0..layout.columns).map(|l| {
                let [f, g] = [&left[l], &right[l]].map(|c| rows.interpolate(at, c.iter().copied()));
                (f + u[l]) * (g + v[l])
            });
            horner(gamma, products)
        };
        // The coset's points in order; a few of them where there are many columns.
        let step = if layout.columns > 50 { 13 } else { 3 };
        for i in (0..n).step_by(step) {
            assert_eq!(proof[2 * layout.columns + i], value(next_rows.point(n + i)), "{layout:?} {i}");
        }
        assert_eq!(proof.last(), Some(&horner(gamma, u.iter().zip(v).map(|(u, v)| *u * *v))));
    }
}
