//! Checking a batch of submissions: each party evaluates its two shares of every item, then one exchange decides.

use alloc::vec::Vec;
use core::fmt;

use crate::net::{Abort, Session, Step, Transport, status_byte};
use crate::proof::{Challenges, Opening, PrivatePart, Reject, Share, ShareHashes, challenges, check, open};
use crate::sharing::{Replicated, Ring, RingShare};
use crate::statement::{Layout, Statement};
use crate::{PartyId, mutant};

/// One submission as one party has it.
pub struct Item<'a> {
    /// The statement that is proven; each party derives it from presentation and survey.
    pub statement: &'a Statement,
    /// The context to which the proof is bound besides.
    pub ctx: &'a [u8; 32],
    /// The public commitments.
    pub public: &'a ShareHashes,
    /// This party's private part, unsealed; `None` if there is none that opens.
    pub private: Option<&'a [u8]>,
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("statement", self.statement)
            .field("public", self.public)
            .finish_non_exhaustive()
    }
}

/// One party's shares of an accepted submission's lanes. Only [`verify_batch`] makes it, so a value of this type
/// means that the three parties checked the submission's proof together.
#[derive(Clone, PartialEq, Eq)]
pub struct Accepted {
    lanes: Vec<RingShare>,
    row_keys: [[u8; 32]; 2],
}

impl Accepted {
    /// The shares, in the order of [`Statement::lanes`].
    pub fn lanes(&self) -> &[RingShare] {
        &self.lanes
    }

    /// The keys of the commitments to the own and the next share's rows ([`ShareHashes::rows`]), to be stored with them:
    /// by them a party that lacks a row sees that it is given the right one.
    pub fn row_keys(&self) -> &[[u8; 32]; 2] {
        &self.row_keys
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accepted({} lanes)", self.lanes.len())
    }
}

/// The outcome of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The proof holds; these are the party's shares.
    Accepted(Accepted),
    /// It is refused.
    Rejected {
        /// The party that refuses on its own (the first, if several); `None` if the joint check fails.
        by: Option<PartyId>,
        /// Why.
        reason: Reject,
    },
}

/// The results that this party computed alone.
struct Local {
    layout: Layout,
    challenges: Challenges,
    /// The openings of its own share and of the next.
    openings: [Opening; 2],
    accepted: Accepted,
}

/// Checks one party's private part alone, without the two others: its form and length, that it belongs to this
/// submission, and all commitments to its content. A part that passes is not proven yet ([`verify_batch`] does that), but
/// the provider cannot replace it by anything else.
///
/// # Errors
/// The reason for which [`verify_batch`] would refuse it.
pub fn check_private(party: PartyId, item: &Item<'_>) -> Result<(), Reject> {
    open_private(party, item, &item.statement.layout()).map(drop)
}

/// A party's two shares and the keys of their rows' commitments.
fn open_private(
    party: PartyId,
    item: &Item<'_>,
    layout: &Layout,
) -> Result<([Share; 2], [[u8; 32]; 2]), Reject> {
    let bytes = item.private.ok_or(Reject::MissingPrivate)?;
    let private = PrivatePart::decode(party, layout, bytes).ok_or(Reject::MalformedPrivate)?;
    let row_keys = private.row_keys();
    Ok((private.shares(item.statement, layout, item.ctx, item.public)?, row_keys))
}

/// Checks a batch with the two other parties, in one exchange.
///
/// All three call it with the same items in the same order (each with its own private parts); a difference aborts.
/// Verdicts come in the order of the items. A party that rejects an item by itself rejects it for all. A party that
/// lies about its status to one peer only can make verdicts differ: callers agree on a hash of the verdicts before
/// they store anything.
///
/// # Errors
/// [`Abort`] if a message is missing, malformed, of another context, or inconsistent with the other holder's: then
/// nothing of the batch is accepted.
pub fn verify_batch(
    session: &mut Session,
    items: &[Item<'_>],
    net: &mut impl Transport,
) -> Result<Vec<Verdict>, Abort> {
    let step = Step::ProofOpening;
    let party = session.party();
    let round = session.begin(step)?;
    let mut layouts = Layouts::default();
    let locals: Vec<_> = items.iter().map(|item| examine(party, item, &mut layouts)).collect();

    // Digest of the batch, a status for each item, then what the peer needs of the items that passed here.
    let mut to_next = batch_digest(items).to_vec();
    to_next.extend(locals.iter().map(|l| status_byte(l.as_ref().err().copied())));
    let mut to_prev = to_next.clone();
    let mut buffer = Vec::new();
    for (i, local) in locals.iter().enumerate() {
        if let Ok(Local { openings: [own, next], .. }) = local {
            own.encode(&mut to_next);
            buffer.clear();
            next.encode(&mut buffer);
            to_prev.extend(round.item_hash(i, party.next().index(), &buffer));
        }
    }
    if mutant!("lie-batch-opening") {
        to_next.iter_mut().skip(32 + items.len()).for_each(|byte| *byte ^= 1);
    }
    if mutant!("lie-batch-vouching") {
        to_prev.iter_mut().skip(32 + items.len()).for_each(|byte| *byte ^= 1);
    }
    let [from_next, from_prev] = session.exchange(net, &round, &to_next, &to_prev)?;
    let head = to_next.get(..32).unwrap_or_default();
    let mut next = Received::parse(party.next(), &from_next, head, items.len())?;
    let mut prev = Received::parse(party.prev(), &from_prev, head, items.len())?;

    let mut verdicts = Vec::with_capacity(items.len());
    for (i, (item, local)) in items.iter().zip(locals).enumerate() {
        // Read what is there even if the item is rejected: the next item stands behind it.
        let layout = layouts.of(item.statement);
        let hash = next.take(i, 32)?;
        let vector = prev.take(i, Opening::bytes(&layout))?;
        if let (Some(hash), Some(vector)) = (hash, vector)
            && *hash != round.item_hash(i, party.prev().index(), vector)
            && !mutant!("batch-opening-not-checked")
        {
            return Err(Abort::Inconsistent { step, item: i });
        }
        let refusals = [
            (party, local.as_ref().err().copied()),
            (party.next(), next.refusal(i)),
            (party.prev(), prev.refusal(i)),
        ];
        let first = refusals.into_iter().filter_map(|(by, r)| Some((by, r?))).min_by_key(|(by, _)| *by);
        verdicts.push(match (first, local, vector) {
            (None, Ok(local), Some(vector)) => conclude(local, vector, party)?,
            (Some((by, reason)), _, _) => Verdict::Rejected { by: Some(by), reason },
            // A peer's status says fine, so its part was there.
            (None, _, _) => return Err(Abort::Malformed { peer: party.prev(), step }),
        });
    }
    next.end()?;
    prev.end()?;
    session.complete(round);
    Ok(verdicts)
}

fn examine(party: PartyId, item: &Item<'_>, layouts: &mut Layouts) -> Result<Local, Reject> {
    let layout = layouts.of(item.statement);
    let (shares, row_keys) = open_private(party, item, &layout)?;
    let challenges = challenges(item.statement, item.ctx, item.public, layout.log_rows);
    let openings = open(item.statement, &layout, &challenges, [&shares[0], &shares[1]]);
    let [own, next] = shares.each_ref().map(|s| s.lanes(&layout));
    let lanes = own.zip(next).map(|(own, next)| Replicated { own: Ring(own), next: Ring(next) }).collect();
    Ok(Local { layout, challenges, openings, accepted: Accepted { lanes, row_keys } })
}

fn conclude(local: Local, third: &[u8], party: PartyId) -> Result<Verdict, Abort> {
    let Local { layout, challenges, openings: [own, next], accepted } = local;
    let malformed = Abort::Malformed { peer: party.prev(), step: Step::ProofOpening };
    let third = Opening::decode(&layout, third).ok_or(malformed)?;
    Ok(match check(&layout, &challenges, [&own, &next, &third]) {
        Ok(()) => Verdict::Accepted(accepted),
        Err(reason) => Verdict::Rejected { by: None, reason },
    })
}

/// The hash of a batch, without the private parts.
fn batch_digest(items: &[Item<'_>]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("tercet-mpc v1 batch");
    hasher.update(&(items.len() as u64).to_le_bytes());
    for item in items {
        let statement = item.statement.encode();
        if !mutant!("batch-digest-without-statement") {
            hasher.update(&(statement.len() as u64).to_le_bytes());
            hasher.update(&statement);
        }
        hasher.update(item.ctx);
        if !mutant!("batch-digest-without-hashes") {
            hasher.update(&item.public.encode());
        }
    }
    *hasher.finalize().as_bytes()
}

/// Layouts by shape: computing one evaluates the circuit.
#[derive(Default)]
struct Layouts(alloc::collections::BTreeMap<Vec<u8>, Layout>);

impl Layouts {
    fn of(&mut self, statement: &Statement) -> Layout {
        *self.0.entry(statement.shape().encode()).or_insert_with(|| statement.layout())
    }
}

/// A peer's message, read item by item.
struct Received<'a> {
    peer: PartyId,
    statuses: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Received<'a> {
    fn parse(peer: PartyId, content: &'a [u8], digest: &[u8], items: usize) -> Result<Self, Abort> {
        let step = Step::ProofOpening;
        let malformed = Abort::Malformed { peer, step };
        let (head, rest) = content.split_at_checked(32).ok_or(malformed.clone())?;
        if head != digest {
            return Err(Abort::Disagreement { peer, step });
        }
        let (statuses, rest) = rest.split_at_checked(items).ok_or(malformed.clone())?;
        // What only the joint check can know, no peer says of itself.
        let known = |s: u8| s == 0 || Reject::from_u8(s).is_some_and(Reject::alone);
        if !statuses.iter().all(|s| known(*s)) && !mutant!("unknown-status-accepted") {
            return Err(malformed);
        }
        Ok(Self { peer, statuses, rest })
    }

    /// Why the peer refuses item i, if it does.
    fn refusal(&self, i: usize) -> Option<Reject> {
        self.statuses.get(i).and_then(|s| Reject::from_u8(*s))
    }

    /// The peer's part of item i: `len` bytes, or nothing if it refuses the item.
    fn take(&mut self, i: usize, len: usize) -> Result<Option<&'a [u8]>, Abort> {
        if self.refusal(i).is_some() {
            return Ok(None);
        }
        let malformed = Abort::Malformed { peer: self.peer, step: Step::ProofOpening };
        let (part, rest) = self.rest.split_at_checked(len).ok_or(malformed)?;
        self.rest = rest;
        Ok(Some(part))
    }

    fn end(&self) -> Result<(), Abort> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Abort::Malformed { peer: self.peer, step: Step::ProofOpening })
        }
    }
}

#[cfg(test)]
mod tests;
