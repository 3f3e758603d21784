//! The needs of order statistics: the number of rows that a column's list takes, and the time at which it is computed anew.
//!
//! A published quantile is somebody's value, and no rule about groups changes that. The rules here bound the information in
//! several of them together. See `docs/statistics.md`.

use tercet_mutants::mutant;

/// A share in thousandths, 0 to 1000: the finest that a survey lists.
pub type Thousandths = u16;

/// An order statistic, as far as the rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Order {
    /// The value at (n - 1) P + 1, between two neighbours. Interpolation counts as publishing both.
    Quantile(Thousandths),
    /// The value of rank max(1, ceil(P n)).
    Nearest(Thousandths),
    /// The sum without the floor(P n) smallest and as many of the largest.
    Trimmed(Thousandths),
    /// The sum of the floor(P n) smallest.
    Lorenz(Thousandths),
    /// The sum of the ceil(P n) largest.
    TopShare(Thousandths),
    /// The sum of all distances.
    Gini,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The most frequent value.
    Mode,
}

/// Why a list of order statistics of one column is refused, whatever the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Breaks {
    /// It is one person's value.
    #[error("publishes a single value")]
    Single(Order),
    /// It stays fewer than `min_new` ranks from an end.
    #[error("is too close to the smallest or the largest value, however many people take part")]
    End(Order),
    /// Two of them stay fewer than `min_new` ranks apart.
    #[error("together they tell about fewer than min_new people, however many take part")]
    Close(Order, Order),
    /// Together they tell the sum over everybody who has not left, and the difference to the sum of the units tells about those
    /// who have.
    #[error("together they tell the sum over all who have not left")]
    Total(Order, Order),
}

/// A place among n sorted values at which something is opened: one or two neighbouring ranks, or a number k whose k smallest values are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Interpolated,
    Rank,
    /// k = floor(P n).
    Floor,
    /// k = ceil(P n).
    Ceil,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    share: u64,
    mark: Mark,
    of: Order,
}

impl Placed {
    /// The lowest and the highest position over n rows.
    fn at(&self, n: u64) -> (u64, u64) {
        let p = self.share;
        match self.mark {
            Mark::Interpolated => {
                let h = (n - 1) * p;
                (h / 1000 + 1, h.div_ceil(1000) + 1)
            }
            Mark::Rank => {
                let rank = (p * n).div_ceil(1000).max(1);
                (rank, rank)
            }
            Mark::Floor => (p * n / 1000, p * n / 1000),
            Mark::Ceil => ((p * n).div_ceil(1000), (p * n).div_ceil(1000)),
        }
    }

    fn is_rank(&self) -> bool {
        matches!(self.mark, Mark::Interpolated | Mark::Rank)
    }
}

impl Order {
    fn marks(self) -> Vec<Placed> {
        let placed = |share: Thousandths, mark| Placed { share: u64::from(share.min(1000)), mark, of: self };
        match self {
            Self::Quantile(p) => vec![placed(p, Mark::Interpolated)],
            Self::Nearest(p) => vec![placed(p, Mark::Rank)],
            Self::Trimmed(p) => vec![placed(p, Mark::Floor), placed(1000 - p.min(1000), Mark::Ceil)],
            // Of nobody, or of everybody: nothing is opened.
            Self::Lorenz(0 | 1000) | Self::TopShare(0 | 1000) => Vec::new(),
            Self::Lorenz(p) => vec![placed(p, Mark::Floor)],
            // n - ceil(P n) = floor((1 - P) n).
            Self::TopShare(p) => vec![placed(1000 - p.min(1000), Mark::Floor)],
            Self::Gini | Self::Min | Self::Max | Self::Mode => Vec::new(),
        }
    }
}

/// The least number of rows from which on a column's whole list may be computed, n_min; 0 for an empty list.
///
/// From this number on, the ranks of different statistics differ by `min_new` or more from each other (the two neighbours of an
/// interpolated quantile aside) and from both ends, the numbers of summed values do so too, and with `gini` there are five times
/// `min_new` rows.
///
/// # Errors
///
/// No number of rows is enough.
pub fn least(list: &[Order], min_new: u64) -> Result<u64, Breaks> {
    let m = min_new.max(1);
    if let Some(single) = list.iter().find(|o| matches!(o, Order::Min | Order::Max | Order::Mode)) {
        return Err(Breaks::Single(*single));
    }
    if let Some(all) = list.iter().find(|o| **o == Order::Trimmed(0)) {
        return Err(Breaks::Total(*all, *all));
    }
    for order in list {
        if let Order::Lorenz(p @ 1..=999) = order {
            let rest = Order::TopShare(1000 - p);
            if list.contains(&rest) {
                return Err(Breaks::Total(*order, rest));
            }
        }
    }
    if list.is_empty() {
        return Ok(0);
    }
    let marks: Vec<Placed> = list.iter().flat_map(|o| o.marks()).collect();
    let (ranks, cuts): (Vec<_>, Vec<_>) = marks.into_iter().partition(Placed::is_rank);
    let m = if mutant!("ranks-one-too-close") { m - 1 } else { m };
    let gini = if list.contains(&Order::Gini) { 5 * m } else { 0 };
    // Ranks are 1 to n, between ends that nobody holds; numbers of summed values 0 to n.
    Ok(apart(ranks, m, 1)?.max(apart(cuts, m, 0)?).max(gini).max(2 * m))
}

/// From which n on positions are `m` apart and `m` away from 0 and n + `end`.
fn apart(mut marks: Vec<Placed>, m: u64, end: u64) -> Result<u64, Breaks> {
    marks.sort_by_key(|p| p.share);
    let classes: Vec<&[Placed]> = marks.chunk_by(|a, b| a.share == b.share).collect();
    let (Some(first), Some(last)) = (classes.first(), classes.last()) else { return Ok(0) };
    let lowest = |class: &[Placed], n: u64| class.iter().map(|p| p.at(n).0).min().unwrap_or_default();
    let highest = |class: &[Placed], n: u64| class.iter().map(|p| p.at(n).1).max().unwrap_or_default();
    for class in &classes {
        // An interpolated quantile has the nearest rank of the same share among its neighbours; floor and ceiling differ by one.
        let other = class.iter().find(|p| !p.is_rank() && class.first().is_some_and(|f| f.mark != p.mark));
        if let (Some(a), Some(b), true) = (class.first(), other, m > 1) {
            return Err(Breaks::Close(a.of, b.of));
        }
    }
    let mut from = 0;
    let mut gap = |grows: u64, error: Breaks, at: &dyn Fn(u64) -> u64| {
        // Each position moves by exactly its share of a thousand with every thousand rows.
        for n in 1..=1000 {
            let missing = m.saturating_sub(at(n));
            match (missing, grows) {
                (0, _) => {}
                (_, 0) => return Err(error),
                _ => from = from.max(n + 1000 * (missing.div_ceil(grows) - 1) + 1),
            }
        }
        Ok(())
    };
    let of = |class: &[Placed]| class.first().map_or(Order::Gini, |p| p.of);
    gap(share(first), Breaks::End(of(first)), &|n| lowest(first, n))?;
    gap(1000 - share(last), Breaks::End(of(last)), &|n| (n + end).saturating_sub(highest(last, n)))?;
    for pair in classes.windows(2) {
        let [a, b] = pair else { continue };
        let error = Breaks::Close(of(a), of(b));
        gap(share(b) - share(a), error, &|n| lowest(b, n).saturating_sub(highest(a, n)))?;
    }
    Ok(from)
}

fn share(class: &[Placed]) -> u64 {
    class.first().map_or(0, |p| p.share)
}

/// The decision about a column's order statistics at a release point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// There were never enough rows.
    TooFew,
    /// They are computed anew, of the rows that are in units now and not erased.
    Anew,
    /// Those of this release point are served.
    Serve(u32),
}

/// When the order statistics of a column, or of one group of it, are computed anew: only when at least n_min more rows have
/// entered than were erased since.
///
/// The decision is one about the log: it is taken when a release point is applied, whether or not the computation succeeds. A
/// computation that fails may be tried again over exactly the same rows; after one of them was erased, it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewals {
    least: u64,
    done: Option<Done>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    point: u32,
    entered: u64,
    erased: u64,
}

impl Renewals {
    /// Nothing was computed yet. `least` is n_min.
    pub fn new(least: u64) -> Self {
        Self { least, done: None }
    }

    /// Decides at release point `point`, when `entered` rows were ever in units and `erased` of them have been erased.
    ///
    /// Where nobody knows which rows have a value, `entered` is the size of the secret units and `erased` the number of all erased
    /// rows.
    pub fn decide(&mut self, point: u32, entered: u64, erased: u64) -> Renewal {
        let (before, gone) = self.done.map_or((0, 0), |done| (done.entered, done.erased));
        let (came, left) = (entered.saturating_sub(before), erased.saturating_sub(gone));
        let left = if mutant!("renewal-forgets-who-left") { 0 } else { left };
        if came >= left.saturating_add(self.least) && came > 0 {
            self.done = Some(Done { point, entered, erased });
            return Renewal::Anew;
        }
        self.done.map_or(Renewal::TooFew, |done| Renewal::Serve(done.point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Order::{Gini, Lorenz, Max, Min, Mode, Nearest, Quantile, TopShare, Trimmed};

    /// Rule 3 by its definition, for one n.
    fn holds(list: &[Order], m: i64, n: i64) -> bool {
        let floor = |p: u16| i64::from(p) * n / 1000;
        let ceil = |p: u16| (i64::from(p) * n + 999) / 1000;
        // Each with its share: what is of the same share may fall together.
        let mut ranks: Vec<(u16, Vec<i64>)> = vec![];
        let mut cuts: Vec<(u16, i64)> = vec![];
        for o in list {
            match *o {
                Quantile(p) => {
                    let h = (n - 1) * i64::from(p);
                    let low = h / 1000 + 1;
                    ranks.push((p, if h % 1000 == 0 { vec![low] } else { vec![low, low + 1] }));
                }
                Nearest(p) => ranks.push((p, vec![ceil(p).max(1)])),
                Trimmed(p) => cuts.extend([(p, floor(p)), (1000 - p, n - floor(p))]),
                Lorenz(p) => cuts.push((p, floor(p))),
                TopShare(p) => cuts.push((1000 - p, n - ceil(p))),
                Gini if n < 5 * m => return false,
                Gini | Min | Max | Mode => {}
            }
        }
        let within = |a: &[i64], b: &[i64]| a.iter().all(|r| b.contains(r));
        let far = |a: &[i64], b: &[i64]| a.iter().all(|r| b.iter().all(|s| (r - s).abs() >= m));
        let ranks_fit = |(p, a): &(u16, Vec<i64>), (q, b): &(u16, Vec<i64>)| {
            if p == q { within(a, b) || within(b, a) } else { far(a, b) }
        };
        let cuts_fit =
            |(p, a): &(u16, i64), (q, b): &(u16, i64)| if p == q { a == b } else { (a - b).abs() >= m };
        ranks.iter().flat_map(|(_, r)| r).all(|r| *r >= m && n + 1 - r >= m)
            && cuts.iter().all(|(_, k)| *k >= m && n - k >= m)
            && ranks.iter().all(|a| ranks.iter().all(|b| ranks_fit(a, b)))
            && cuts.iter().all(|a| cuts.iter().all(|b| cuts_fit(a, b)))
    }

    #[test]
    fn the_least_number_is_the_definition() {
        let lists: [&[Order]; 11] = [
            &[Quantile(500)],
            &[Quantile(250), Quantile(500), Quantile(750)],
            &[Quantile(500), Nearest(500)],
            &[Nearest(100), Nearest(250), Nearest(500), Nearest(900)],
            &[Lorenz(100), Lorenz(200), TopShare(100)],
            &[Trimmed(50)],
            &[Trimmed(100), Lorenz(100)],
            &[Gini, Quantile(500)],
            &[Quantile(333), Quantile(337)],
            &[Quantile(999)],
            &[TopShare(10), Gini, Trimmed(250), Quantile(900)],
        ];
        for list in lists {
            for m in [1, 2, 3, 5, 10] {
                let least = least(list, m).unwrap();
                let m = m as i64;
                let from = least as i64;
                assert!((from..from + 3000).all(|n| holds(list, m, n)), "{list:?} {m}: {from} is too small");
                assert!(from == 2 * m || !holds(list, m, from - 1), "{list:?} {m}: {from} is too large");
            }
        }
        assert_eq!(least(&[Quantile(500)], 10), Ok(20));
        assert_eq!(least(&[Lorenz(100)], 10), Ok(100));
        assert_eq!(least(&[Gini], 10), Ok(50));
        assert_eq!(least(&[], 10), Ok(0));
    }

    #[test]
    fn what_no_number_of_rows_makes_safe_is_refused() {
        for single in [Min, Max, Mode] {
            assert_eq!(least(&[Quantile(500), single], 10), Err(Breaks::Single(single)));
        }
        for end in [Quantile(0), Quantile(1000), Nearest(0), Nearest(1000)] {
            assert_eq!(least(&[end], 10), Err(Breaks::End(end)));
        }
        // The one leaves out the ceiling, the other the floor of a tenth.
        assert_eq!(
            least(&[Trimmed(100), TopShare(100)], 10),
            Err(Breaks::Close(Trimmed(100), TopShare(100)))
        );
        assert_eq!(least(&[Lorenz(900), TopShare(100)], 10), Err(Breaks::Total(Lorenz(900), TopShare(100))));
        assert_eq!(least(&[Trimmed(0)], 10), Err(Breaks::Total(Trimmed(0), Trimmed(0))));
        assert_eq!(least(&[Lorenz(0), Lorenz(1000), TopShare(1000)], 10), Ok(20));
    }

    #[test]
    fn erased_rows_put_a_renewal_off() {
        let mut renewals = Renewals::new(20);
        assert_eq!(renewals.decide(1, 19, 0), Renewal::TooFew);
        assert_eq!(renewals.decide(2, 21, 2), Renewal::TooFew);
        assert_eq!(renewals.decide(3, 22, 2), Renewal::Anew);
        assert_eq!(renewals.decide(4, 41, 2), Renewal::Serve(3));
        assert_eq!(renewals.decide(5, 42, 3), Renewal::Serve(3));
        assert_eq!(renewals.decide(6, 43, 3), Renewal::Anew);
        assert_eq!(renewals.decide(7, 43, 3), Renewal::Serve(6));
    }
}
