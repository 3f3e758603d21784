//! What is read off one column's values in ascending order: the request, its answer, and both as bytes.
//!
//! Every order statistic is a function of the number of rows, their sum, and one [`OrderAnswer`]. Plain data: the
//! host writes the request, the engine answers it from the sorted sharing.

use alloc::vec::Vec;

/// Most entries of each list of a request.
pub const MAX_ENTRIES: usize = 4096;

const VERSION: u8 = 1;
const WEIGHTED: u8 = 1;
const MODE: u8 = 2;

/// What is read off one column's values in ascending order x_1 <= .. <= x_n. Ranks are 1-based.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrderRequest {
    /// Ranks whose value is wanted, each in 1..=n.
    pub ranks: Vec<u64>,
    /// Numbers k, each in 0..=n, whose sum of the k smallest values is wanted.
    pub prefix_sums: Vec<u64>,
    /// Whether the sum of i * x_i is wanted.
    pub weighted: bool,
    /// Edges, each of which the number of smaller values is wanted for.
    pub edges: Vec<i64>,
    /// Whether the most frequent value is wanted.
    pub mode: bool,
}

/// The opened answers, in the request's order. Integers: value * 10^scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrderAnswer {
    /// The value at each rank.
    pub ranks: Vec<i64>,
    /// The sum of the k smallest values, for each k.
    pub prefix_sums: Vec<i128>,
    /// The sum of i * x_i.
    pub weighted: Option<i128>,
    /// For each edge, how many values are smaller.
    pub below: Vec<u64>,
    /// The smallest of the most frequent values, and how often it occurs.
    pub mode: Option<(i64, u64)>,
}

/// Why a request or an answer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A list is longer than [`MAX_ENTRIES`].
    #[error("a list of an order request has {0} entries, more than {MAX_ENTRIES}")]
    TooLong(usize),
    /// A rank or a number of values is not in the column.
    #[error("rank {rank} is asked of {rows} rows")]
    Rank {
        /// The rank, or the number of values.
        rank: u64,
        /// Rows there are.
        rows: u64,
    },
    /// The answer has not the form that the request asks for.
    #[error("the answer does not belong to the request")]
    Shape,
    /// The bytes are not one of these encodings.
    #[error("the encoding of an order request or answer is malformed")]
    Encoding,
}

impl OrderRequest {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that the request can be answered over `rows` rows.
    pub fn check(&self, rows: u64) -> Result<(), OrderError> {
        for len in [self.ranks.len(), self.prefix_sums.len(), self.edges.len()] {
            if len > MAX_ENTRIES {
                return Err(OrderError::TooLong(len));
            }
        }
        let outside = self.ranks.iter().find(|r| !(1..=rows).contains(*r));
        match outside.or_else(|| self.prefix_sums.iter().find(|k| **k > rows)) {
            Some(&rank) => Err(OrderError::Rank { rank, rows }),
            None => Ok(()),
        }
    }

    /// Checks that an answer has this request's form. A mode is there unless there are no rows.
    pub fn accepts(&self, answer: &OrderAnswer, rows: u64) -> Result<(), OrderError> {
        let fits = answer.ranks.len() == self.ranks.len()
            && answer.prefix_sums.len() == self.prefix_sums.len()
            && answer.below.len() == self.edges.len()
            && answer.weighted.is_some() == self.weighted
            && answer.mode.is_some() == (self.mode && rows > 0)
            && answer.below.iter().all(|n| *n <= rows)
            && answer.mode.is_none_or(|(_, count)| (1..=rows).contains(&count));
        if fits { Ok(()) } else { Err(OrderError::Shape) }
    }

    /// Asks for what `other` asks for too, each thing once; the lists get sorted.
    pub fn merge(&mut self, other: &Self) {
        fn union<T: Copy + Ord>(into: &mut Vec<T>, from: &[T]) {
            into.extend_from_slice(from);
            into.sort_unstable();
            into.dedup();
        }
        union(&mut self.ranks, &other.ranks);
        union(&mut self.prefix_sums, &other.prefix_sums);
        union(&mut self.edges, &other.edges);
        self.weighted |= other.weighted;
        self.mode |= other.mode;
    }

    /// The answer in clear text. What [`Self::check`] refuses is answered by the nearest rank there is; without
    /// rows a value is 0.
    pub fn answer(&self, values: &[i64]) -> OrderAnswer {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(sorted.len());
        let at = |rank: &u64| sorted.get(index(*rank).saturating_sub(1)).copied().unwrap_or(0);
        let sum = |k: &u64| sorted.iter().take(index(*k)).map(|v| i128::from(*v)).sum();
        let weighted = || sorted.iter().zip(1i128..).map(|(v, i)| i * i128::from(*v)).sum();
        let runs = sorted.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u64)));
        OrderAnswer {
            ranks: self.ranks.iter().map(at).collect(),
            prefix_sums: self.prefix_sums.iter().map(sum).collect(),
            weighted: self.weighted.then(weighted),
            below: self.edges.iter().map(|e| sorted.partition_point(|v| v < e) as u64).collect(),
            mode: runs.reduce(|best, run| if run.1 > best.1 { run } else { best }).filter(|_| self.mode),
        }
    }

    /// Canonical bytes: version, flags, three lengths (u32), the lists; little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let flags = if self.weighted { WEIGHTED } else { 0 } | if self.mode { MODE } else { 0 };
        let mut out = header(flags, [self.ranks.len(), self.prefix_sums.len(), self.edges.len()]);
        self.ranks.iter().chain(&self.prefix_sums).for_each(|n| out.extend(n.to_le_bytes()));
        self.edges.iter().for_each(|e| out.extend(e.to_le_bytes()));
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrderError> {
        let (flags, [ranks, sums, edges], mut rest) = read_header(bytes)?;
        let this = Self {
            ranks: read(&mut rest, ranks, u64::from_le_bytes)?,
            prefix_sums: read(&mut rest, sums, u64::from_le_bytes)?,
            edges: read(&mut rest, edges, i64::from_le_bytes)?,
            weighted: flags & WEIGHTED != 0,
            mode: flags & MODE != 0,
        };
        if rest.is_empty() { Ok(this) } else { Err(OrderError::Encoding) }
    }
}

impl OrderAnswer {
    /// Canonical bytes: version, flags, three lengths (u32), the lists, then the optional numbers; little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let flags =
            if self.weighted.is_some() { WEIGHTED } else { 0 } | if self.mode.is_some() { MODE } else { 0 };
        let mut out = header(flags, [self.ranks.len(), self.prefix_sums.len(), self.below.len()]);
        self.ranks.iter().for_each(|v| out.extend(v.to_le_bytes()));
        self.prefix_sums.iter().for_each(|v| out.extend(v.to_le_bytes()));
        self.below.iter().for_each(|v| out.extend(v.to_le_bytes()));
        out.extend(self.weighted.iter().flat_map(|v| v.to_le_bytes()));
        if let Some((value, count)) = self.mode {
            out.extend(value.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        out
    }

    /// Reads [`Self::encode`]'s bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrderError> {
        let (flags, [ranks, sums, below], mut rest) = read_header(bytes)?;
        let mut this = Self {
            ranks: read(&mut rest, ranks, i64::from_le_bytes)?,
            prefix_sums: read(&mut rest, sums, i128::from_le_bytes)?,
            below: read(&mut rest, below, u64::from_le_bytes)?,
            ..Self::default()
        };
        if flags & WEIGHTED != 0 {
            this.weighted = Some(one(&mut rest, i128::from_le_bytes)?);
        }
        if flags & MODE != 0 {
            this.mode = Some((one(&mut rest, i64::from_le_bytes)?, one(&mut rest, u64::from_le_bytes)?));
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
    if flags & !(WEIGHTED | MODE) != 0 {
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

    fn requests() -> impl Strategy<Value = OrderRequest> {
        (list(0u64..40, 0..6), list(0u64..40, 0..6), any::<bool>(), list(-9i64..9, 0..6), any::<bool>())
            .prop_map(|(ranks, prefix_sums, weighted, edges, mode)| OrderRequest {
                ranks,
                prefix_sums,
                weighted,
                edges,
                mode,
            })
    }

    #[test]
    fn known_answers() {
        let all = OrderRequest {
            ranks: vec![1, 3, 6],
            prefix_sums: vec![0, 2, 6],
            weighted: true,
            edges: vec![-5, 2, 7, 8],
            mode: true,
        };
        assert_eq!(
            all.answer(&[7, 2, -5, 7, 2, 3]),
            OrderAnswer {
                ranks: vec![-5, 2, 7],
                prefix_sums: vec![0, -3, 16],
                weighted: Some(-5 + 4 + 6 + 12 + 35 + 42),
                below: vec![0, 1, 4, 6],
                mode: Some((2, 2)),
            }
        );
        let nothing = all.answer(&[]);
        assert_eq!((nothing.mode, nothing.below), (None, vec![0; 4]));
        assert_eq!(all.check(5), Err(OrderError::Rank { rank: 6, rows: 5 }));
        assert_eq!(all.check(6), Ok(()));
        let zero = OrderRequest { ranks: vec![0], ..OrderRequest::default() };
        assert_eq!(zero.check(6), Err(OrderError::Rank { rank: 0, rows: 6 }));
        let long = OrderRequest { edges: vec![0; MAX_ENTRIES + 1], ..OrderRequest::default() };
        assert_eq!(long.check(6), Err(OrderError::TooLong(MAX_ENTRIES + 1)));
        assert_eq!(OrderRequest::decode(&long.encode()), Err(OrderError::TooLong(MAX_ENTRIES + 1)));
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
            if let Some((mode, count)) = answer.mode {
                let frequency = |v: i64| values.iter().filter(|x| **x == v).count() as u64;
                prop_assert_eq!(count, frequency(mode));
                prop_assert!(values.iter().all(|v| frequency(*v) < count || (frequency(*v) == count && *v >= mode)));
            }
            if request.check(n).is_ok() {
                // The value at rank r: at least r values are not above it, fewer than r are below.
                for (rank, value) in request.ranks.iter().zip(&answer.ranks) {
                    prop_assert!(values.iter().filter(|v| *v <= value).count() as u64 >= *rank);
                    prop_assert!((values.iter().filter(|v| *v < value).count() as u64) < *rank);
                }
            }
            let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
            let all = OrderRequest { prefix_sums: vec![n], ..OrderRequest::default() };
            prop_assert_eq!(all.answer(&values).prefix_sums, vec![total]);
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
            prop_assert!(a.ranks.iter().chain(&b.ranks).all(|r| both.ranks.binary_search(r).is_ok()));
            prop_assert!(both.edges.windows(2).all(|w| w[0] < w[1]));
            prop_assert_eq!((both.weighted, both.mode), (a.weighted || b.weighted, a.mode || b.mode));
        }
    }
}
