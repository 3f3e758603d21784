//! Decisions about hidden counts, and columns with missing values.

use super::*;

/// Counts against limits, as release points ask: one bit for each count.
fn limits_job(
    world: &TestWorld,
    counts: &[u64],
    limits: &[u64],
    tuning: Tuning,
) -> [Result<Vec<bool>, Abort>; 3] {
    let shares = shares(&counts.iter().map(|c| u128::from(*c)).collect::<Vec<_>>(), 5);
    run(world, tuning, |c| at_least(c, &shares[c.session.party().index()], limits))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn counts_are_at_least_their_limits(
        pairs in prop::collection::vec((0u64..12, 0u64..12), 0..150),
        large: bool,
        slow: bool,
        seed: u64,
    ) {
        let mut pairs = pairs;
        if large {
            pairs.extend([(1 << 32, 1 << 32), ((1 << 32) - 1, 1 << 32), (1 << 32, u64::MAX), (0, u64::MAX), (0, 0)]);
        }
        let (counts, limits): (Vec<u64>, Vec<u64>) = pairs.iter().copied().unzip();
        let tuning = tuning(if slow { 1 << 40 } else { 0 });
        let decided = agreed(limits_job(&TestWorld::new(seed), &counts, &limits, tuning));
        prop_assert_eq!(decided, pairs.iter().map(|(count, limit)| count >= limit).collect::<Vec<_>>());
    }
}

#[test]
fn no_altered_message_changes_what_is_at_least_its_limit() {
    let (counts, limits) = ([10, 9, 0, 613], [10, 10, 0, 10]);
    let expected = vec![true, false, true, true];
    let job =
        |world: &TestWorld| limits_job(world, &counts, &limits, Tuning { chunk_words: 30, ..tuning(0) });
    let (steps, tried) = alter_every_message(job, &expected);
    assert_eq!(steps, [Step::And, Step::Proof, Step::Verdict, Step::OpenBits].into());
    assert!(tried > 100, "{tried}");
}

fn optional(
    world: &TestWorld,
    values: &[Option<i64>],
    request: &OrderRequest,
    tuning: Tuning,
) -> [Result<OrderAnswer, Abort>; 3] {
    let lanes: Vec<u128> = values
        .iter()
        .map(|v| i128::from(v.unwrap_or(0)).cast_unsigned())
        .chain(values.iter().map(|v| v.is_some().into()))
        .collect();
    let count = values.iter().flatten().count() as u64;
    let shares = shares(&lanes, 8);
    run(world, tuning, |c| {
        let (values, present) = shares[c.session.party().index()].split_at(values.len());
        let column = SharedColumn { values, bits: 6, present: Some((present, count)) };
        match answer(c, &column, request) {
            Ok(answer) => Ok(answer),
            Err(ReadError::Abort(abort)) => Err(abort),
            Err(refused) => panic!("{refused}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Everything that is read off a column with missing values is read off the values that are there: none, all, ties.
    #[test]
    fn missing_values_are_not_read(
        values in prop::collection::vec(prop::option::weighted(0.6, -63i64..=63), 0..120),
        kind in 0u8..5,
        picks in prop::collection::vec(any::<u64>(), 0..6),
        seed: u64,
    ) {
        let mut values = values;
        for v in &mut values {
            *v = match kind {
                0 => None,
                1 => Some(v.unwrap_or(-63)),
                2 => v.map(|v| v % 2),
                3 => v.map(|_| 63),
                _ => *v,
            };
        }
        let there: Vec<i64> = values.iter().flatten().copied().collect();
        let n = there.len() as u64;
        let request = picked(&picks, n, seed);
        let got = agreed(optional(&TestWorld::new(seed), &values, &request, tuning(if seed % 2 == 0 { 0 } else { 20_000_000 })));
        prop_assert_eq!(got, request.answer(&there));
    }
}

#[test]
fn no_altered_message_makes_a_missing_value_count() {
    let values = [Some(9), None, Some(-3), Some(9), None];
    let request = OrderRequest {
        combinations: vec![vec![(1, 1)], vec![(2, -5), (3, 2)]],
        ranges: vec![(0, 2)],
        distances: true,
        mode: true,
        ..Default::default()
    };
    let expected = request.answer(&[9, -3, 9]);
    let tuning = Tuning { chunk_words: 40, ..tuning(0) };
    let (steps, tried) = alter_every_message(|world| optional(world, &values, &request, tuning), &expected);
    assert!(steps.len() >= 7 && tried > 300, "{steps:?} {tried}");
}
