//! A shuffle whose permutation no party knows, and the check that no row was altered on the way.
//!
//! Three passes, each with a permutation that two parties know and the third does not (Laur, Willemson and Zhang, ISC
//! 2011); each ends in a fresh sharing. A corrupted party can add anything to rows, but every row has a tag: the row
//! times a secret element of K. If it changes a row, it has to change the tag by the secret's multiple of the change.
//! So a random combination of `tag - secret * row` is zero only if no row was changed, except with probability below n
//! / 2^127.

use alloc::vec::Vec;

use super::{Compute, FieldVector as _, Host, KeyStream};
use crate::PartyId;
use crate::field::Gf128;
use crate::mutant;
use crate::net::{Abort, Peer, Step};
use crate::sharing::{self, Replicated, Xor};

/// Rows of 128 shared bits: both shares of each.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub own: Vec<u128>,
    pub next: Vec<u128>,
}

impl Rows {
    fn permute(values: &[u128], order: &[u32]) -> Vec<u128> {
        order.iter().map(|i| values.get(*i as usize).copied().unwrap_or_default()).collect()
    }

    /// The rows in another order: row j is the old row `order[j]`.
    pub fn ordered(&self, order: &[u32]) -> Self {
        Self { own: Self::permute(&self.own, order), next: Self::permute(&self.next, order) }
    }

    /// Keeps the first rows and gives the others.
    fn split_off(&mut self, rows: usize) -> Self {
        Self { own: self.own.split_off(rows), next: self.next.split_off(rows) }
    }
}

impl<H: Host> Compute<'_, H> {
    /// The rows in an order that is uniformly random and that nobody knows, checked.
    pub(super) fn shuffle(&mut self, rows: Rows) -> Result<Rows, Abort> {
        // Proofs on their way come before other frames.
        self.verify()?;
        let count = rows.own.len();
        let key = self.secret(Step::Product);
        let tags = self.product(&rows, key)?;
        // Rows and tags travel together.
        let mut both = rows;
        both.own.extend(tags.own);
        both.next.extend(tags.next);
        for first in PartyId::ALL {
            both = self.pass(first, &both)?;
        }
        let tags = both.split_off(count);
        self.check_tags(&both, &tags, key)?;
        Ok(both)
    }

    /// A random element of K that nobody knows.
    fn secret(&mut self, step: Step) -> Replicated<Xor> {
        self.prss.random::<H::Stream, _>(step, 1).pop().unwrap_or_default()
    }

    /// A public element of K that nobody knew before. It depends on no gate, so none is verified for it.
    pub(super) fn coin(&mut self) -> Result<Gf128, Abort> {
        const STEP: Step = Step::OpenElements;
        let coin = self.secret(STEP);
        let coin = sharing::open(self.session, STEP, &[coin], self.host)?.pop().unwrap_or_default();
        Ok(if mutant!("shuffle-coin-constant") { Gf128(2) } else { Gf128(coin.0) })
    }

    /// Shared elements of K times a shared one; one exchange. A corrupted party can add anything to a product that
    /// does not depend on secrets: use it only where a check like [`Self::check_tags`] follows.
    fn product(&mut self, x: &Rows, by: Replicated<Xor>) -> Result<Rows, Abort> {
        const STEP: Step = Step::Product;
        let scaled = |values: Vec<Gf128>, by: Xor| {
            let mut vector = H::Vector::new(values);
            vector.scale(Gf128(by.0));
            vector.elements()
        };
        let diagonal = scaled(x.own.iter().zip(&x.next).map(|(a, b)| Gf128(a ^ b)).collect(), by.own);
        let cross = scaled(x.own.iter().copied().map(Gf128).collect(), by.next);
        let round = self.session.begin(STEP)?;
        let zeros: Vec<Xor> = self.prss.zeros::<H::Stream, _>(STEP, x.own.len());
        let zeros = zeros.iter().map(|zero| if mutant!("products-without-masks") { 0 } else { zero.0 });
        let mut own: Vec<u128> =
            diagonal.iter().zip(&cross).zip(zeros).map(|((a, b), zero)| a.0 ^ b.0 ^ zero).collect();
        if mutant!("lie-product") {
            own.iter_mut().take(1).for_each(|x| *x ^= 1);
        }
        self.session.send(self.host, &round, Peer::Prev, &encode(&own))?;
        let received = self.session.receive(self.host, &round, Peer::Next)?;
        let peer = self.session.party().next();
        let next = decode(&received, own.len()).ok_or(Abort::Malformed { peer, step: STEP })?;
        self.session.complete(round);
        Ok(Rows { own, next })
    }

    /// One pass: the parties `first` and `first + 1` know the permutation. Rows and tags (the second half) move alike.
    ///
    /// The next pass hears nothing from `first`, so only the last pass tells it the share that it has in common with
    /// the second.
    fn pass(&mut self, first: PartyId, both: &Rows) -> Result<Rows, Abort> {
        const STEP: Step = Step::Shuffle;
        let party = self.session.party();
        let count = both.own.len() / 2;
        let round = self.session.begin(STEP)?;
        // The key that the two share is the first's next and the second's own.
        let mut orders: [H::Stream; 2] = self.prss.streams(STEP);
        let mut masks: [H::Stream; 2] = self.prss.streams(STEP);
        let [mask_own, mask_next] = masks.each_mut().map(|stream| match mutant!("shuffle-without-masks") {
            false => draw(stream, 2 * count),
            true => alloc::vec![0; 2 * count],
        });
        let (peer, values, order, mask) = if party == first {
            let values = both.own.iter().zip(&both.next).map(|(a, b)| a ^ b).collect();
            (Peer::Next, values, permutation(&mut orders[1], count), &mask_own)
        } else if party == first.next() {
            (Peer::Prev, both.next.clone(), permutation(&mut orders[0], count), &mask_next)
        } else {
            self.session.complete(round);
            return Ok(Rows { own: mask_own, next: mask_next });
        };
        let values: Vec<u128> = values;
        let order = match first == PartyId::P1 && mutant!("shuffle-pass-keeps-order") {
            false => order,
            true => (0..count as u32).collect(),
        };
        let (rows, tags) = values.split_at(count);
        let moved = Rows::permute(rows, &order).into_iter().chain(Rows::permute(tags, &order));
        let mut part: Vec<u128> = moved.zip(mask).map(|(value, mask)| value ^ mask).collect();
        if mutant!("lie-shuffle") {
            part.iter_mut().take(1).for_each(|x| *x ^= 1);
        }
        let last = first == PartyId::P2;
        if party == first || last {
            self.session.send(self.host, &round, peer, &encode(&part))?;
        }
        let middle = if party != first || last {
            let received = self.session.receive(self.host, &round, peer)?;
            let other =
                decode(&received, 2 * count).ok_or(Abort::Malformed { peer: peer.of(party), step: STEP })?;
            part.iter().zip(&other).map(|(a, b)| a ^ b).collect()
        } else {
            Vec::new()
        };
        self.session.complete(round);
        Ok(if party == first {
            Rows { own: mask_own, next: middle }
        } else {
            Rows { own: middle, next: mask_next }
        })
    }

    /// Aborts unless every tag is the key times its row.
    fn check_tags(&mut self, rows: &Rows, tags: &Rows, key: Replicated<Xor>) -> Result<(), Abort> {
        let coin = self.coin()?;
        let weights = H::Vector::powers(coin, rows.own.len());
        let combine = |values: &[u128]| {
            Xor(H::Vector::new(values.iter().copied().map(Gf128).collect()).dot(&weights).0)
        };
        let row = Rows { own: alloc::vec![combine(&rows.own).0], next: alloc::vec![combine(&rows.next).0] };
        let tag = Replicated { own: combine(&tags.own), next: combine(&tags.next) };
        let expected = single(&self.product(&row, key)?);
        // Masked by another secret factor: what a cheater's difference is stays unknown.
        let difference = tag - expected;
        let mask = self.secret(Step::Product);
        let difference = Rows { own: alloc::vec![difference.own.0], next: alloc::vec![difference.next.0] };
        let masked = match mutant!("tag-difference-not-masked") {
            false => single(&self.product(&difference, mask)?),
            true => tag - expected,
        };
        match self.open_shares(Step::OpenElements, &[masked])?.as_slice() {
            [Xor(0)] => Ok(()),
            _ if mutant!("tags-not-checked") => Ok(()),
            _ => {
                self.session.close();
                Err(Abort::Altered { step: Step::Shuffle })
            }
        }
    }
}

fn single(rows: &Rows) -> Replicated<Xor> {
    let first = |values: &[u128]| Xor(values.first().copied().unwrap_or_default());
    Replicated { own: first(&rows.own), next: first(&rows.next) }
}

/// A uniformly random permutation (Fisher and Yates).
fn permutation(stream: &mut impl KeyStream, count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut words = Words { stream, drawn: [0; WORDS], used: WORDS };
    for i in (1..count).rev() {
        order.swap(i, below(&mut words, i as u64 + 1) as usize);
    }
    order
}

/// Bytes that are drawn at a time, a multiple of a word's.
const WORDS: usize = 512;

/// A stream's words one by one, drawn many at a time.
struct Words<'s, S> {
    stream: &'s mut S,
    drawn: [u8; WORDS],
    used: usize,
}

impl<S: KeyStream> Words<'_, S> {
    fn next(&mut self) -> u64 {
        if self.used == WORDS {
            self.stream.fill(&mut self.drawn);
            self.used = 0;
        }
        let word = self.drawn[self.used..].first_chunk().copied().unwrap_or_default();
        self.used += word.len();
        u64::from_le_bytes(word)
    }
}

/// Uniform below `bound`, which is at most 2^32, without bias (Lemire, ACM TOMACS 2019).
fn below(words: &mut Words<'_, impl KeyStream>, bound: u64) -> u64 {
    loop {
        let product = u128::from(words.next()) * u128::from(bound);
        if product as u64 >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}

fn draw(stream: &mut impl KeyStream, count: usize) -> Vec<u128> {
    let mut bytes = alloc::vec![0; 16 * count];
    stream.fill(&mut bytes);
    bytes.as_chunks::<16>().0.iter().map(|b| u128::from_le_bytes(*b)).collect()
}

fn encode(values: &[u128]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn decode(bytes: &[u8], count: usize) -> Option<Vec<u128>> {
    match bytes.as_chunks::<16>() {
        (list, []) if list.len() == count => Some(list.iter().map(|b| u128::from_le_bytes(*b)).collect()),
        _ => None,
    }
}
