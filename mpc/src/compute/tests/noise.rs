//! Noise: its distribution, its target, and a cheater's influence on it.

use super::*;
use crate::noise::Laplace;

fn laplace(epsilon: &str, sensitivity: u128) -> Laplace {
    Laplace::new(epsilon.parse().unwrap(), sensitivity).unwrap()
}

/// The noise that the parties draw, put together.
fn drawn(seed: u64, noise: &[Laplace], exchange_ns: u64) -> Vec<i128> {
    let world = TestWorld::new(seed);
    let shares = run(&world, tuning(exchange_ns), |c| c.laplace(noise)).map(|r| r.unwrap());
    let value = |i: usize| RingShare::reconstruct(shares.each_ref().map(|r| r[i])).unwrap();
    (0..noise.len()).map(|i| value(i).0.cast_signed()).collect()
}

/// Chi-square of samples against the distribution with `p = exp(-x)`, in bins of one value from -12 to 12 and two for
/// the values beyond: 26 degrees of freedom.
fn chi_square(samples: &[i128], x: f64) -> f64 {
    const REACH: i128 = 12;
    let p = (-x).exp();
    let count = |inside: &dyn Fn(i128) -> bool| samples.iter().filter(|s| inside(**s)).count() as f64;
    let bin = |seen: f64, probability: f64| {
        let expected = probability * samples.len() as f64;
        (seen - expected).powi(2) / expected
    };
    let inner: f64 = (-REACH..=REACH)
        .map(|d| bin(count(&|s| s == d), (1.0 - p) / (1.0 + p) * p.powi(d.unsigned_abs() as i32)))
        .sum();
    // The geometric series from the reach on.
    let tail = p.powi(REACH as i32 + 1) / (1.0 + p);
    inner + bin(count(&|s| s > REACH), tail) + bin(count(&|s| s < -REACH), tail)
}

#[test]
fn noise_is_discrete_laplace() {
    // Epsilon 0.5 and sensitivity 2: a deviation of 5.6.
    let noise = vec![laplace("0.5", 2); 6000];
    let samples = drawn(1, &noise, 0);
    // Above 54 once in a thousand; the seed is fixed.
    let chi = chi_square(&samples, 0.25);
    assert!(chi < 54.0, "{chi}");
    // The test tells: with epsilon 0.55 the same samples do not fit.
    let wrong = chi_square(&samples, 0.275);
    assert!(wrong > 54.0, "{wrong}");
}

#[test]
fn noise_of_sums_is_as_large_as_it_says() {
    // Values of 48 bits and a tenth: mean magnitude sensitivity / epsilon.
    let noise = vec![laplace("0.1", (1 << 49) - 2); 512];
    let samples = drawn(2, &noise, 20_000_000);
    let mean = samples.iter().map(|s| s.unsigned_abs() as f64).sum::<f64>() / samples.len() as f64;
    let scale = 10.0 * (1u64 << 49) as f64;
    // The mean of 512 exponential variables is within 15 % of theirs, but once in a thousand.
    assert!((mean / scale - 1.0).abs() < 0.15, "{mean} {scale}");
    assert!(samples.iter().any(|s| *s < 0) && samples.iter().any(|s| *s > 0));
    let distinct: BTreeSet<_> = samples.iter().collect();
    assert_eq!(distinct.len(), samples.len());
}

/// Shared sums of different sizes with noise of different sizes, opened.
fn job(world: &TestWorld, sums: &[u128], noise: &[Laplace]) -> [Result<Vec<u128>, Abort>; 3] {
    let shares = shares(sums, 9);
    let tuning = Tuning { chunk_words: 600, ..tuning(5_000_000) };
    run(world, tuning, |c| {
        let drawn = draw_noise(c, noise)?;
        assert_eq!(drawn.len(), noise.len());
        let sums = shares[c.session.party().index()].iter().zip(drawn).map(|(sum, noise)| *sum + noise);
        let opened = c.open_shares(Step::OpenSums, &sums.collect::<Vec<_>>())?;
        Ok(opened.into_iter().map(|sum| sum.0).collect())
    })
}

#[test]
fn each_sum_has_noise_of_its_own() {
    let noise = [laplace("1", 1), laplace("0.1", 1000), laplace("1", 1 << 40)];
    let sums = [1_000_000, 77, (-3i128).cast_unsigned()];
    let opened = agreed(job(&TestWorld::new(4), &sums, &noise));
    // The same world draws the same noise.
    let drawn = drawn(4, &noise, 5_000_000);
    let expected: Vec<u128> = sums.iter().zip(&drawn).map(|(sum, d)| sum.wrapping_add_signed(*d)).collect();
    assert_eq!(opened, expected);
    assert!(drawn.iter().any(|d| *d != 0));
    // Another session draws another.
    assert_ne!(agreed(job(&TestWorld::new(5), &sums, &noise)), opened);
    // Without any distribution there is nothing to draw.
    assert_eq!(agreed(job(&TestWorld::new(4), &[], &[])), []);
}

#[test]
fn no_altered_message_shifts_noise() {
    let (sums, noise) = ([1000], [laplace("4", 1)]);
    let expected = agreed(job(&TestWorld::new(11), &sums, &noise));
    let (steps, tried) = alter_every_message(|world| job(world, &sums, &noise), &expected);
    let all = [Step::And, Step::Proof, Step::Verdict, Step::OpenBits, Step::OpenSums];
    assert!(all.iter().all(|s| steps.contains(s)));
    assert!(tried > 100, "{tried}");
}
