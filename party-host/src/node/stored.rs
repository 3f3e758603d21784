//! The unit sums that this party holds, and sums of them: all that statistics of sums are computed from.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use tercet_mpc::statement::{Lane, Part};
use tercet_mpc::{Output, RingShare};
use tercet_protocol::survey::Linear;
use tercet_releases::{Ledger, UnitId};

use super::session::SessionError;
use super::survey::SurveyNode;
use super::units::{Sums, public};
use crate::store::{LANE_BYTES, Segment};

/// Unit sums by release point: of those in the log, and of one that is about to enter.
pub struct Stored<'s> {
    me: u8,
    lanes: &'s [Lane],
    /// Indexed by release point, from 1.
    points: Vec<Arc<Segment>>,
    entering: Option<(&'s Sums, u64)>,
    totals: HashMap<(u32, Option<usize>), RingShare>,
    /// Rows that entered at each release point.
    rows: Vec<u64>,
    /// The first unit of each release point.
    first: Vec<UnitId>,
}

impl<'s> Stored<'s> {
    /// Reads the sums of all units that have entered.
    pub async fn read(survey: &'s SurveyNode) -> Result<Self, SessionError> {
        let (wanted, rows, first) = {
            let book = survey.book();
            let wanted: Vec<_> =
                book.points().iter().filter_map(|p| Some((p.height, book.rows_at(p.height)?))).collect();
            let numbers = 1..=book.ledger().newest();
            let entered = |n| book.ledger().units_at(n);
            let rows = numbers.clone().map(|n| {
                let units = entered(n).filter_map(|u| book.ledger().units().get(u as usize));
                units.map(tercet_releases::Unit::size).sum()
            });
            (wanted, rows.collect(), numbers.map(|n| entered(n).start).collect())
        };
        let points: Vec<(u64, Arc<Segment>)> =
            survey.store.read_segments(survey.id(), wanted).try_collect().await?;
        Ok(Self {
            me: survey.me(),
            lanes: survey.lanes(),
            points: points.into_iter().map(|(_, segment)| segment).collect(),
            entering: None,
            totals: HashMap::new(),
            rows,
            first,
        })
    }

    /// Adds the units that are about to enter, with `rows` rows in all.
    pub fn with(mut self, entering: &'s Sums, rows: u64) -> Self {
        self.entering = Some((entering, rows));
        self
    }

    /// The share of one unit's sum in a lane.
    pub fn unit(&self, ledger: &Ledger, unit: UnitId, lane: usize) -> Option<RingShare> {
        let point = (ledger.units().get(unit as usize)?.point as usize).checked_sub(1)?;
        let index = unit.checked_sub(*self.first.get(point)?)?;
        share(self.points.get(point)?, index as usize, lane)
    }

    /// The share of a lane's sum over all rows that entered at a release point; without a lane, of the number of
    /// rows.
    pub fn total(&mut self, point: u32, lane: Option<usize>) -> Option<RingShare> {
        if let Some(known) = self.totals.get(&(point, lane)) {
            return Some(*known);
        }
        let index = (point as usize).checked_sub(1)?;
        let sum = match (lane, self.points.get(index), self.entering) {
            (None, Some(_), _) => public(*self.rows.get(index)?, self.me),
            (None, None, Some((_, rows))) if index == self.points.len() => public(rows, self.me),
            (Some(lane), Some(segment), _) => {
                let mut shares = (0..segment.submissions().len()).map(|i| share(segment, i, lane));
                shares.try_fold(RingShare::default(), |sum, share| Some(sum + share?))?
            }
            (Some(lane), None, Some((sums, _))) if index == self.points.len() => {
                (0..sums.units()).fold(RingShare::default(), |sum, unit| sum + sums.unit(unit)[lane])
            }
            _ => return None,
        };
        self.totals.insert((point, lane), sum);
        Some(sum)
    }

    /// The lanes and their factors of one part of a linear sum's outputs; `None` if the survey lacks a lane.
    pub fn lanes_of(&self, linear: &Linear, part: Part) -> Option<Vec<(Option<usize>, i64)>> {
        let lane = |output: Output| self.lanes.iter().position(|l| l.output == output && l.part == part);
        let rows = (linear.rows != 0).then_some((None, linear.rows));
        let of = linear.of.iter().map(|(output, times)| Some((Some(lane(*output)?), *times)));
        rows.into_iter().map(Some).chain(of).collect()
    }
}

fn share(segment: &Segment, row: usize, lane: usize) -> Option<RingShare> {
    segment.row(row)?.as_chunks::<LANE_BYTES>().0.get(lane).map(RingShare::from_lane)
}
