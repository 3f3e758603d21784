//! Secret groups: groups of rows whose members nobody knows, and the units that their rows entered in.
//!
//! Rows of a group enter with public units, so the rows of a group between two release points are a sum over whole public
//! units of a function of the row. Nothing here looks at a row: decisions and sums are computed of the stored unit sums.

use tercet_mpc::RingShare;
use tercet_protocol::survey::{SecretPartition, SurveyManifest};
use tercet_releases::{Clocks, Ledger, Point, Range};

/// Rows of a group that entered together: a unit whose size is known and whose members are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUnit {
    /// The partition's number.
    pub partition: usize,
    /// The group's number in its partition; `None` for the rest, which has rows of several groups.
    pub block: Option<usize>,
    /// For each group of the partition, the release points at which its rows of this unit entered.
    pub ranges: Vec<Range>,
    /// Number of rows.
    pub rows: u64,
}

/// All secret groups of a survey, with their clocks and units.
#[derive(Debug)]
pub struct Groups {
    partitions: Vec<SecretPartition>,
    clocks: Vec<Clocks>,
    units: Vec<SecretUnit>,
    min_new: u64,
    patience: u64,
}

/// Something that is decided at a release point: whether these rows are at least `min_new`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The partition's number.
    pub partition: usize,
    /// The group's number in its partition; `None` for the rest.
    pub block: Option<usize>,
    /// For each group of the partition, which rows of it.
    pub ranges: Vec<Range>,
}

const NOTHING: Range = Range { after: 0, until: 0 };

impl Groups {
    /// Before the first release point.
    pub fn new(manifest: &SurveyManifest) -> Self {
        let partitions = manifest.partitions();
        let clocks = partitions.iter().map(|p| Clocks::new(p.clocked())).collect();
        let rules = manifest.rules();
        let (min_new, patience) = (rules.min_new as u64, rules.schedule.patience);
        Self { partitions, clocks, units: Vec::new(), min_new, patience }
    }

    /// The survey's partitions.
    pub fn partitions(&self) -> &[SecretPartition] {
        &self.partitions
    }

    /// The units that have entered.
    pub fn units(&self) -> &[SecretUnit] {
        &self.units
    }

    /// The partition over which a column's sums are released; `None` for a column that counts for every row.
    pub fn of_column(&self, column: u8) -> Option<usize> {
        self.partitions.iter().position(|p| p.columns.contains(&column))
    }

    /// Number of rows of a partition, or of one of its groups, that are in units.
    pub fn rows(&self, partition: usize, block: Option<usize>) -> u64 {
        let of = |u: &&SecretUnit| u.partition == partition && (block.is_none() || u.block == block);
        self.units.iter().filter(of).map(|u| u.rows).sum()
    }

    /// Number of decisions in an entry of this survey.
    pub fn decisions(&self) -> usize {
        self.partitions.iter().map(|p| p.blocks.len() + usize::from(p.rest)).sum()
    }

    /// The first decisions at release point `number`: for each group, if enough of its rows have come since its
    /// clock.
    pub fn of_blocks(&self, number: u32) -> Vec<Asked> {
        let mut asked = Vec::new();
        for (partition, clocks) in self.clocks.iter().enumerate() {
            let questions = clocks.questions(number);
            for (block, range) in questions.blocks.iter().enumerate() {
                let mut ranges = vec![NOTHING; questions.blocks.len()];
                ranges[block] = *range;
                asked.push(Asked { partition, block: Some(block), ranges });
            }
        }
        asked
    }

    /// The second decisions, after those on the groups that `bits` give: for each partition's rest, where there is
    /// one.
    pub fn of_rests(&self, number: u32, bits: &[bool], points: &[Point], last: bool) -> Vec<Option<Asked>> {
        let mut rests = Vec::new();
        let mut bits = bits;
        for (partition, (clocks, of)) in self.clocks.iter().zip(&self.partitions).enumerate() {
            let (own, others) = bits.split_at(of.blocks.len().min(bits.len()));
            bits = others;
            if of.rest {
                let ranges = clocks.rest(number, own, points, self.patience, last).ok().flatten();
                rests.push(ranges.map(|ranges| Asked { partition, block: None, ranges }));
            }
        }
        rests
    }

    /// The sizes in the order in which an entry has them.
    pub fn arrange(&self, blocks: &[u64], rests: &[u64]) -> Vec<u64> {
        let (mut blocks, mut rests) = (blocks.iter(), rests.iter());
        let mut all = Vec::with_capacity(self.decisions());
        for p in &self.partitions {
            all.extend(blocks.by_ref().take(p.blocks.len()));
            all.extend(rests.by_ref().take(usize::from(p.rest)));
        }
        all
    }

    /// Applies the decisions of the ledger's newest release point, `number`.
    pub fn decide(&mut self, ledger: &Ledger, number: u32, last: bool, sizes: &[u64]) -> Result<(), String> {
        if sizes.len() != self.decisions() {
            return Err(format!("{} decisions about {} secret groups", sizes.len(), self.decisions()));
        }
        if let Some(size) = sizes.iter().find(|size| (1..self.min_new).contains(*size)) {
            return Err(format!("a secret group of {size} rows, fewer than min_new"));
        }
        let points = ledger.points().to_vec();
        let mut sizes = sizes.iter().copied();
        for (partition, clocks) in self.clocks.iter_mut().enumerate() {
            let of = &self.partitions[partition];
            let own: Vec<u64> = sizes.by_ref().take(of.blocks.len()).collect();
            let rest = if of.rest { sizes.next().unwrap_or_default() } else { 0 };
            let bits: Vec<bool> = own.iter().map(|size| *size > 0).collect();
            let questions = clocks.questions(number);
            let pooled = if rest > 0 {
                let ranges = clocks.rest(number, &bits, &points, self.patience, last);
                Some(ranges.map_err(|e| e.to_string())?.ok_or("a rest that nothing is in")?)
            } else {
                None
            };
            for (block, size) in own.iter().enumerate().filter(|(_, size)| **size > 0) {
                let mut ranges = vec![NOTHING; own.len()];
                ranges[block] = questions.blocks[block];
                self.units.push(SecretUnit { partition, block: Some(block), ranges, rows: *size });
            }
            if let Some(ranges) = &pooled {
                self.units.push(SecretUnit { partition, block: None, ranges: ranges.clone(), rows: rest });
            }
            clocks.decide(number, &bits, pooled.as_deref()).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Adds up each group's part of a sum, over the release points in these ranges of a partition's groups.
    ///
    /// `of` gives for each group the lanes and their factors (`None`: the number of rows). `total` gives a lane's sum over
    /// all rows that entered at one release point. `None` if either has no answer.
    pub fn sum(
        ranges: &[Range],
        of: impl Fn(usize) -> Option<Vec<(Option<usize>, i64)>>,
        mut total: impl FnMut(u32, Option<usize>) -> Option<RingShare>,
    ) -> Option<RingShare> {
        let mut sum = RingShare::default();
        for (block, range) in ranges.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
            let parts = of(block)?;
            for point in range.after + 1..=range.until {
                for (lane, times) in &parts {
                    // Two's complement is the ring's.
                    sum = sum + total(point, *lane)? * i128::from(*times).cast_unsigned();
                }
            }
        }
        Some(sum)
    }
}
