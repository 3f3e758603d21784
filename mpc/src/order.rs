//! A question about one column's values in ascending order: the request, its answer, and both as bytes.
//!
//! Every order statistic is a function of the number of values, sums of whole units, and one [`OrderAnswer`]. An answer holds
//! the released numbers and nothing more: if a quantile lies between two ranks, it holds their combination. Plain data: the
//! host writes the request, the engine answers it from the sorted sharing.

use alloc::vec::Vec;

/// Most entries of each list of a request.
pub const MAX_ENTRIES: usize = 4096;

/// Most terms of a combination.
pub const MAX_TERMS: usize = 4;

/// Largest magnitude of a factor.
pub const MAX_FACTOR: u64 = 1 << 32;

const VERSION: u8 = 2;
const DISTANCES: u8 = 1;
const MODE: u8 = 2;

/// A linear combination of values: ranks, each once and in ascending order, and the factors of their values, none zero.
pub type Combination = Vec<(u64, i64)>;

/// A question about one column's values in ascending order x_1 <= .. <= x_n. Ranks are 1-based.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrderRequest {
    /// Combinations of values at ranks in 1..=n, each of which is opened as one number.
    pub combinations: Vec<Combination>,
    /// Pairs (k, l), for each of which the sum of the values of ranks k + 1 to l is wanted; not of all values: the total over
    /// those who have not left tells about those who have.
    pub ranges: Vec<(u64, u64)>,
    /// True if the sum of (2 i - n - 1) x_i is wanted: the sum of the distances of all pairs.
    pub distances: bool,
    /// Edges of a histogram, each of which the number of smaller values is wanted for. The sizes of secret units say it: a host
    /// fills the answer in from them, and the engine is never asked ([`Self::check`]).
    pub edges: Vec<i64>,
    /// True if the most frequent value is wanted.
    pub mode: bool,
}

/// The opened answers, in the request's order. Integers: value * 10^scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrderAnswer {
    /// The combinations.
    pub combinations: Vec<i128>,
    /// The sum of each range.
    pub ranges: Vec<i128>,
    /// The sum of the distances of all pairs.
    pub distances: Option<i128>,
    /// For each edge, how many values are smaller.
    pub below: Vec<u64>,
    /// The smallest of the most frequent values.
    pub mode: Option<i64>,
}

/// Why a request or an answer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A list is longer than [`MAX_ENTRIES`].
    #[error("a list of an order request has {0} entries, more than {MAX_ENTRIES}")]
    TooLong(usize),
    /// A rank is not in the column, or a range is not one of it.
    #[error("rank {rank} is asked of {rows} rows")]
    Rank {
        /// The rank, or the number of values.
        rank: u64,
        /// Rows there are.
        rows: u64,
    },
    /// A combination has no terms or too many, or its ranks or factors are not as they must be.
    #[error(
        "a combination of an order request has 1 to {MAX_TERMS} ascending ranks with factors up to {MAX_FACTOR}"
    )]
    Combination,
    /// A range is the whole column.
    #[error("an order request asks for the sum of all values, which would tell about those who have left")]
    Total,
    /// Numbers of values below an edge are not read off a sorted column.
    #[error("an order request asks for counts below edges: those are the sizes of a histogram's units")]
    Edges,
    /// The answer has not the form that the request asks for.
    #[error("the answer does not belong to the request")]
    Shape,
    /// The bytes are not one of these encodings.
    #[error("the encoding of an order request or answer is malformed")]
    Encoding,
}

impl OrderRequest {
    /// True if nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that the request can be answered over `rows` rows.
    pub fn check(&self, rows: u64) -> Result<(), OrderError> {
        for len in [self.combinations.len(), self.ranges.len(), self.edges.len()] {
            if len > MAX_ENTRIES {
                return Err(OrderError::TooLong(len));
            }
        }
        if !self.edges.is_empty() {
            return Err(OrderError::Edges);
        }
        for terms in &self.combinations {
            let ascending = terms.is_sorted_by(|a, b| a.0 < b.0);
            let factors = terms.iter().all(|(_, f)| (1..=MAX_FACTOR).contains(&f.unsigned_abs()));
            if !(1..=MAX_TERMS).contains(&terms.len()) || !ascending || !factors {
                return Err(OrderError::Combination);
            }
            if let Some((rank, _)) = terms.iter().find(|(rank, _)| !(1..=rows).contains(rank)) {
                return Err(OrderError::Rank { rank: *rank, rows });
            }
        }
        for (from, to) in &self.ranges {
            if from >= to || *to > rows {
                return Err(OrderError::Rank { rank: *to, rows });
            }
            if (*from, *to) == (0, rows) {
                return Err(OrderError::Total);
            }
        }
        Ok(())
    }

    /// Checks that an answer has this request's form. A mode is there unless there are no rows.
    pub fn accepts(&self, answer: &OrderAnswer, rows: u64) -> Result<(), OrderError> {
        let fits = answer.combinations.len() == self.combinations.len()
            && answer.ranges.len() == self.ranges.len()
            && answer.below.len() == self.edges.len()
            && answer.distances.is_some() == self.distances
            && answer.mode.is_some() == (self.mode && rows > 0)
            && answer.below.iter().all(|n| *n <= rows);
        if fits { Ok(()) } else { Err(OrderError::Shape) }
    }

    /// Adds the questions of `other`, each once; the lists get sorted.
    pub fn merge(&mut self, other: &Self) {
        fn union<T: Clone + Ord>(into: &mut Vec<T>, from: &[T]) {
            into.extend_from_slice(from);
            into.sort_unstable();
            into.dedup();
        }
        union(&mut self.combinations, &other.combinations);
        union(&mut self.ranges, &other.ranges);
        union(&mut self.edges, &other.edges);
        self.distances |= other.distances;
        self.mode |= other.mode;
    }

    /// The answer in clear text. A rank that [`Self::check`] refuses is answered by the nearest one; without rows a
    /// value is 0.
    pub fn answer(&self, values: &[i64]) -> OrderAnswer {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(sorted.len());
        let at = |rank: u64| sorted.get(index(rank).saturating_sub(1)).copied().map_or(0, i128::from);
        let combine = |terms: &Combination| terms.iter().map(|(rank, f)| at(*rank) * i128::from(*f)).sum();
        let range = |(from, to): &(u64, u64)| {
            let values = sorted.get(index(*from)..index(*to)).unwrap_or_default();
            values.iter().map(|v| i128::from(*v)).sum()
        };
        let n = sorted.len() as i128;
        let distances = || sorted.iter().zip(1i128..).map(|(v, i)| (2 * i - n - 1) * i128::from(*v)).sum();
        let runs = sorted.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u64)));
        OrderAnswer {
            combinations: self.combinations.iter().map(combine).collect(),
            ranges: self.ranges.iter().map(range).collect(),
            distances: self.distances.then(distances),
            below: self.edges.iter().map(|e| sorted.partition_point(|v| v < e) as u64).collect(),
            mode: runs
                .reduce(|best, run| if run.1 > best.1 { run } else { best })
                .map(|run| run.0)
                .filter(|_| self.mode),
        }
    }

    /// Canonical bytes: version, flags, three lengths (u32), the lists, of each combination first its length (u8);
    /// little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let flags = if self.distances { DISTANCES } else { 0 } | if self.mode { MODE } else { 0 };
        let mut out = header(flags, [self.combinations.len(), self.ranges.len(), self.edges.len()]);
        for terms in &self.combinations {
            // More terms are refused by the decoder.
            out.push(u8::try_from(terms.len()).unwrap_or(u8::MAX));
            for (rank, factor) in terms {
                out.extend(rank.to_le_bytes());
                out.extend(factor.to_le_bytes());
            }
        }
        self.ranges.iter().flat_map(|(from, to)| [from, to]).for_each(|n| out.extend(n.to_le_bytes()));
        self.edges.iter().for_each(|e| out.extend(e.to_le_bytes()));
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrderError> {
        let (flags, [combinations, ranges, edges], mut rest) = read_header(bytes)?;
        let this = Self {
            combinations: (0..combinations).map(|_| combination(&mut rest)).collect::<Result<_, _>>()?,
            ranges: pairs(read(&mut rest, 2 * ranges, u64::from_le_bytes)?),
            edges: read(&mut rest, edges, i64::from_le_bytes)?,
            distances: flags & DISTANCES != 0,
            mode: flags & MODE != 0,
        };
        if rest.is_empty() { Ok(this) } else { Err(OrderError::Encoding) }
    }
}

fn combination(rest: &mut &[u8]) -> Result<Combination, OrderError> {
    let terms = usize::from(one(rest, u8::from_le_bytes)?);
    if terms > MAX_TERMS {
        return Err(OrderError::Combination);
    }
    (0..terms).map(|_| Ok((one(rest, u64::from_le_bytes)?, one(rest, i64::from_le_bytes)?))).collect()
}

fn pairs(numbers: Vec<u64>) -> Vec<(u64, u64)> {
    numbers.as_chunks().0.iter().map(|[from, to]| (*from, *to)).collect()
}

impl OrderAnswer {
    /// Canonical bytes: version, flags, three lengths (u32), the lists, then the optional numbers; little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let flags =
            if self.distances.is_some() { DISTANCES } else { 0 } | if self.mode.is_some() { MODE } else { 0 };
        let mut out = header(flags, [self.combinations.len(), self.ranges.len(), self.below.len()]);
        self.combinations.iter().chain(&self.ranges).for_each(|v| out.extend(v.to_le_bytes()));
        self.below.iter().for_each(|v| out.extend(v.to_le_bytes()));
        out.extend(self.distances.iter().flat_map(|v| v.to_le_bytes()));
        out.extend(self.mode.iter().flat_map(|v| v.to_le_bytes()));
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrderError> {
        let (flags, [combinations, ranges, below], mut rest) = read_header(bytes)?;
        let mut this = Self {
            combinations: read(&mut rest, combinations, i128::from_le_bytes)?,
            ranges: read(&mut rest, ranges, i128::from_le_bytes)?,
            below: read(&mut rest, below, u64::from_le_bytes)?,
            ..Self::default()
        };
        if flags & DISTANCES != 0 {
            this.distances = Some(one(&mut rest, i128::from_le_bytes)?);
        }
        if flags & MODE != 0 {
            this.mode = Some(one(&mut rest, i64::from_le_bytes)?);
        }
        if rest.is_empty() { Ok(this) } else { Err(OrderError::Encoding) }
    }
}

fn header(flags: u8, lengths: [usize; 3]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend([VERSION, flags]);
    // A longer list than a u32 counts does not fit into memory with its elements; the decoder refuses it anyway.
    lengths.iter().for_each(|n| out.extend(u32::try_from(*n).unwrap_or(u32::MAX).to_le_bytes()));
    out
}

fn read_header(bytes: &[u8]) -> Result<(u8, [usize; 3], &[u8]), OrderError> {
    let Some((&[VERSION, flags], mut rest)) = bytes.split_first_chunk() else {
        return Err(OrderError::Encoding);
    };
    if flags & !(DISTANCES | MODE) != 0 {
        return Err(OrderError::Encoding);
    }
    let mut lengths = [0; 3];
    for length in &mut lengths {
        *length = one(&mut rest, u32::from_le_bytes)? as usize;
        if *length > MAX_ENTRIES {
            return Err(OrderError::TooLong(*length));
        }
    }
    Ok((flags, lengths, rest))
}

fn one<T, const N: usize>(rest: &mut &[u8], number: fn([u8; N]) -> T) -> Result<T, OrderError> {
    let (head, tail) = rest.split_first_chunk().ok_or(OrderError::Encoding)?;
    *rest = tail;
    Ok(number(*head))
}

fn read<T, const N: usize>(
    rest: &mut &[u8],
    n: usize,
    number: fn([u8; N]) -> T,
) -> Result<Vec<T>, OrderError> {
    let (head, tail) = rest.split_at_checked(n * N).ok_or(OrderError::Encoding)?;
    *rest = tail;
    Ok(head.as_chunks().0.iter().map(|c| number(*c)).collect())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::collection::vec as list;
    use proptest::prelude::*;

    use super::*;

    fn combinations() -> impl Strategy<Value = Vec<Combination>> {
        let terms = list((0u64..40, prop_oneof![-5i64..0, 1i64..1 << 32]), 1..=MAX_TERMS);
        list(
            terms.prop_map(|mut terms| {
                terms.sort_unstable();
                terms.dedup_by_key(|t| t.0);
                terms
            }),
            0..6,
        )
    }

    fn requests() -> impl Strategy<Value = OrderRequest> {
        let ranges = list((0u64..40, 0u64..40), 0..6);
        (combinations(), ranges, any::<bool>(), list(-9i64..9, 0..6), any::<bool>()).prop_map(
            |(combinations, ranges, distances, edges, mode)| OrderRequest {
                combinations,
                ranges,
                distances,
                edges,
                mode,
            },
        )
    }

    #[test]
    fn known_answers() {
        let all = OrderRequest {
            combinations: vec![vec![(1, 1)], vec![(3, 3), (4, -1)], vec![(6, 1)]],
            ranges: vec![(0, 2), (1, 6)],
            distances: true,
            edges: vec![-5, 2, 7, 8],
            mode: true,
        };
        assert_eq!(
            all.answer(&[7, 2, -5, 7, 2, 3]),
            OrderAnswer {
                combinations: vec![-5, 6 - 3, 7],
                ranges: vec![-3, 21],
                // -5, 2, 2, 3, 7, 7 times -5, -3, -1, 1, 3, 5.
                distances: Some(25 - 6 - 2 + 3 + 21 + 35),
                below: vec![0, 1, 4, 6],
                mode: Some(2),
            }
        );
        let nothing = all.answer(&[]);
        assert_eq!((nothing.mode, nothing.below), (None, vec![0; 4]));
        assert_eq!(all.check(6), Err(OrderError::Edges));
        let sorted = OrderRequest { edges: vec![], ..all };
        assert_eq!(sorted.check(5), Err(OrderError::Rank { rank: 6, rows: 5 }));
        assert_eq!(sorted.check(6), Ok(()));
        let long = OrderRequest { edges: vec![0; MAX_ENTRIES + 1], ..OrderRequest::default() };
        assert_eq!(long.check(6), Err(OrderError::TooLong(MAX_ENTRIES + 1)));
        assert_eq!(OrderRequest::decode(&long.encode()), Err(OrderError::TooLong(MAX_ENTRIES + 1)));
    }

    #[test]
    fn what_no_statistic_asks_for_is_refused() {
        let combination = |terms: &[(u64, i64)]| {
            OrderRequest { combinations: vec![terms.to_vec()], ..Default::default() }.check(6)
        };
        assert_eq!(combination(&[(1, 1 << 32), (6, -(1 << 32))]), Ok(()));
        for refused in [
            &[][..],
            &[(2, 0)],
            &[(2, 1), (2, 1)],
            &[(3, 1), (2, 1)],
            &[(1, (1 << 32) + 1)],
            &[(1, i64::MIN)],
        ] {
            assert_eq!(combination(refused), Err(OrderError::Combination), "{refused:?}");
        }
        assert_eq!(combination(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]), Err(OrderError::Combination));
        assert_eq!(combination(&[(0, 1)]), Err(OrderError::Rank { rank: 0, rows: 6 }));
        assert_eq!(combination(&[(1, 1), (7, 1)]), Err(OrderError::Rank { rank: 7, rows: 6 }));
        let range = |from, to| OrderRequest { ranges: vec![(from, to)], ..Default::default() }.check(6);
        assert_eq!((range(0, 5), range(1, 6)), (Ok(()), Ok(())));
        assert_eq!(range(0, 6), Err(OrderError::Total));
        for (from, to) in [(2, 2), (3, 2), (1, 7)] {
            assert_eq!(range(from, to), Err(OrderError::Rank { rank: to, rows: 6 }));
        }
    }

    proptest! {
        #[test]
        fn answers_are_the_definition(values in list(-8i64..8, 0..30), request in requests()) {
            let n = values.len() as u64;
            let answer = request.answer(&values);
            prop_assert_eq!(request.accepts(&answer, n), Ok(()));
            for (edge, below) in request.edges.iter().zip(&answer.below) {
                prop_assert_eq!(*below, values.iter().filter(|v| *v < edge).count() as u64);
            }
            if let Some(mode) = answer.mode {
                let frequency = |v: i64| values.iter().filter(|x| **x == v).count() as u64;
                let count = frequency(mode);
                prop_assert!(values.iter().all(|v| frequency(*v) < count || (frequency(*v) == count && *v >= mode)));
            }
            for rank in 1..=n {
                // The value at rank r: at least r values are not above it, fewer than r are below.
                let request = OrderRequest { combinations: vec![vec![(rank, 1)]], ..OrderRequest::default() };
                let value = request.answer(&values).combinations[0];
                prop_assert!(values.iter().filter(|v| i128::from(**v) <= value).count() as u64 >= rank);
                prop_assert!((values.iter().filter(|v| i128::from(**v) < value).count() as u64) < rank);
            }
            let distances: i128 = values.iter().flat_map(|a| values.iter().map(move |b| i128::from(a.abs_diff(*b)))).sum();
            prop_assert_eq!(answer.distances, request.distances.then_some(distances / 2));
            let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
            let all = OrderRequest { ranges: vec![(0, n)], ..OrderRequest::default() };
            prop_assert_eq!(all.answer(&values).ranges, vec![total]);
        }

        #[test]
        fn encodings_are_exact(request in requests(), values in list(any::<i64>(), 0..9), cut in any::<prop::sample::Index>()) {
            let answer = request.answer(&values);
            let (r, a) = (request.encode(), answer.encode());
            prop_assert_eq!(OrderRequest::decode(&r), Ok(request));
            prop_assert_eq!(OrderAnswer::decode(&a), Ok(answer));
            prop_assert!(OrderRequest::decode(&r[..cut.index(r.len())]).is_err());
            prop_assert!(OrderAnswer::decode(&a[..cut.index(a.len())]).is_err());
            let longer = |bytes: &[u8]| [bytes, &[0]].concat();
            prop_assert!(OrderRequest::decode(&longer(&r)).is_err() && OrderAnswer::decode(&longer(&a)).is_err());
        }

        #[test]
        fn what_decodes_encodes_to_itself(mut bytes in list(0u8..4, 0..60), long: bool) {
            if long && bytes.len() > 14 {
                bytes[0] = VERSION;
                for i in [3, 4, 5, 7, 8, 9, 11, 12, 13] {
                    bytes[i] = 0;
                }
            }
            if let Ok(request) = OrderRequest::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes.clone());
            }
            if let Ok(answer) = OrderAnswer::decode(&bytes) {
                prop_assert_eq!(answer.encode(), bytes);
            }
        }

        #[test]
        fn a_merged_request_asks_for_both(a in requests(), b in requests()) {
            let mut both = a.clone();
            both.merge(&b);
            let asked = a.combinations.iter().chain(&b.combinations);
            prop_assert!(asked.into_iter().all(|c| both.combinations.binary_search(c).is_ok()));
            prop_assert!(both.edges.windows(2).all(|w| w[0] < w[1]));
            prop_assert_eq!((both.distances, both.mode), (a.distances || b.distances, a.mode || b.mode));
        }
    }
}
