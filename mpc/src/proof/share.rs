//! Shares of witness and proof: expansion from seeds, the explicit third share, encodings, commitments.

use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

use super::hashes::{Reject, ShareHashes};
use super::transcript::commitments;
use crate::statement::{Layout, Statement};
use crate::{PartyId, mutant, rows};

/// Largest private part of any statement within the caps, in bytes: the most that a decoder has to hold.
pub const PRIVATE_MAX_BYTES: usize = 3 * 1024 * 1024;

const PRIVATE_VERSION: u8 = 2;
const BINDING_BYTES: usize = 32;
const HEADER_BYTES: usize = 2 + BINDING_BYTES;
const BLIND_BYTES: usize = 32;

/// One XOR share of the witness and of the proof, as bytes.
///
/// Witness: values and blinders; for each lane the arithmetic share of the same index (the two others are zero in
/// this share by construction: they have no place in it); one bit a gate; the inverses of bytes, bit by bit. Proof: for each column of gates the masks
/// u and v, the values on the coset, the top coefficient.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    /// 0, 1 or 2.
    pub(super) index: usize,
    pub(super) witness: Zeroizing<Vec<u8>>,
    pub(super) proof: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({}, ..)", self.index)
    }
}

impl Share {
    /// Share 0 or 1, from its seed.
    pub(super) fn expand(index: usize, seed: &[u8; 32], layout: &Layout) -> Self {
        let mut stream = blake3::Hasher::new_keyed(seed)
            .update(b"tercet-mpc v1 share")
            .update(&[index as u8])
            .finalize_xof();
        let mut fill = |len: usize| {
            let mut bytes = Zeroizing::new(alloc::vec![0; len]);
            stream.fill(&mut bytes);
            bytes
        };
        let mut witness = fill(layout.witness_bytes());
        let mut proof = fill(16 * layout.proof_elements());
        if mutant!("share-inputs-in-clear") {
            witness.iter_mut().take(layout.input_bytes).for_each(|byte| *byte = 0);
        }
        if mutant!("share-proof-in-clear") {
            proof.fill(0);
        }
        for (at, mask) in tails(layout) {
            witness[at] &= mask;
        }
        Self { index, witness, proof }
    }

    /// Values and blinders.
    pub(super) fn inputs(&self, layout: &Layout) -> &[u8] {
        &self.witness[..layout.input_bytes]
    }

    /// The arithmetic shares of all lanes.
    pub(crate) fn lanes(&self, layout: &Layout) -> impl Iterator<Item = u128> + '_ {
        let bytes = &self.witness[layout.input_bytes..layout.input_bytes + 16 * layout.lanes];
        bytes.as_chunks::<16>().0.iter().map(|c| u128::from_le_bytes(*c))
    }

    /// The gates' outputs.
    pub(super) fn gates(&self, layout: &Layout) -> &[u8] {
        let start = layout.input_bytes + 16 * layout.lanes;
        &self.witness[start..start + layout.gates.div_ceil(8)]
    }

    /// Bit `k` of the inverses of bytes.
    pub(super) fn inverses(&self, layout: &Layout, k: usize) -> &[u8] {
        let bytes = layout.inversions.div_ceil(8);
        let start = layout.witness_bytes() - (8 - k) * bytes;
        &self.witness[start..start + bytes]
    }

    /// The elements of the proof.
    pub(super) fn elements(&self) -> &[[u8; 16]] {
        self.proof.as_chunks::<16>().0
    }
}

/// The witness's bytes that may not be full, and which of their bits count: the last of the gates, and of each bit of
/// the inverses.
fn tails(layout: &Layout) -> impl Iterator<Item = (usize, u8)> {
    let mask = |bits: usize| if bits.is_multiple_of(8) { 0xff } else { (1 << (bits % 8)) - 1 };
    let (gates, inverses) = (layout.gates.div_ceil(8), layout.inversions.div_ceil(8));
    let start = layout.input_bytes + 16 * layout.lanes + gates;
    let of_gates = (gates > 0).then(|| (start - 1, mask(layout.gates)));
    let ends = (1..=8).filter(move |_| inverses > 0).map(move |k| start + k * inverses - 1);
    let of_inverses = mask(layout.inversions);
    of_gates.into_iter().chain(ends.map(move |at| (at, of_inverses)))
}

/// The explicit share with the blind of its commitments.
#[derive(Clone)]
pub(super) struct Explicit {
    pub blind: Zeroizing<[u8; 32]>,
    pub share: Share,
}

/// The part of one party: two seeds (party 0), or one seed and the explicit share; and the id of its submission.
pub struct PrivatePart {
    party: PartyId,
    /// The hash of everything that the challenges are made from: under another transcript the same shares would be opened
    /// a second time, and two openings tell the secret.
    binding: [u8; BINDING_BYTES],
    seeds: Vec<(usize, Zeroizing<[u8; 32]>)>,
    explicit: Option<Explicit>,
}

impl fmt::Debug for PrivatePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivatePart({:?}, ..)", self.party)
    }
}

impl PrivatePart {
    pub(super) fn new(
        party: PartyId,
        binding: [u8; BINDING_BYTES],
        seeds: &[Zeroizing<[u8; 32]>; 2],
        explicit: &Explicit,
    ) -> Self {
        let shares = [party.index(), party.next().index()];
        Self {
            party,
            binding,
            seeds: shares.iter().filter_map(|i| Some((*i, seeds.get(*i)?.clone()))).collect(),
            explicit: shares.contains(&2).then(|| explicit.clone()),
        }
    }

    /// Bytes of the encoding for a party.
    pub fn encoded_bytes(party: PartyId, layout: &Layout) -> usize {
        let explicit = BLIND_BYTES + layout.witness_bytes() + 16 * layout.proof_elements();
        HEADER_BYTES + if party == PartyId::P0 { 2 * 32 } else { 32 + explicit }
    }

    /// Version, party, binding, seeds in the order of their shares, then blind, witness and proof of the explicit share.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let explicit =
            self.explicit.as_ref().map_or(0, |e| BLIND_BYTES + e.share.witness.len() + e.share.proof.len());
        // The exact size: a growing vector would leave secrets behind in freed memory.
        let mut out = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + 32 * self.seeds.len() + explicit));
        out.extend([PRIVATE_VERSION, self.party.index() as u8]);
        out.extend(self.binding);
        self.seeds.iter().for_each(|(_, seed)| out.extend_from_slice(&seed[..]));
        if let Some(e) = &self.explicit {
            out.extend_from_slice(&e.blind[..]);
            out.extend_from_slice(&e.share.witness);
            out.extend_from_slice(&e.share.proof);
        }
        out
    }

    /// Reads [`Self::encode`]'s bytes for this party and layout, all of them; `None` for anything else, unused bits
    /// of the last byte included.
    pub fn decode(party: PartyId, layout: &Layout, bytes: &[u8]) -> Option<Self> {
        let expected = Self::encoded_bytes(party, layout);
        let fits = match mutant!("private-part-with-trailing-bytes") {
            false => bytes.len() == expected,
            true => bytes.len() >= expected,
        };
        if !fits {
            return None;
        }
        let (&[version, index], rest) = bytes.split_first_chunk()?;
        if version != PRIVATE_VERSION || usize::from(index) != party.index() {
            return None;
        }
        let (&binding, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk::<32>()?;
        let first = Zeroizing::new(*first);
        if party == PartyId::P0 {
            let second = Zeroizing::new(*rest.first_chunk::<32>()?);
            return Some(Self {
                party,
                binding,
                seeds: alloc::vec![(0, first), (1, second)],
                explicit: None,
            });
        }
        let (blind, rest) = rest.split_first_chunk::<32>()?;
        let (witness, proof) = rest.split_at_checked(layout.witness_bytes())?;
        if tails(layout).any(|(at, mask)| witness[at] & !mask != 0) {
            return None;
        }
        let share = Share {
            index: 2,
            witness: Zeroizing::new(witness.to_vec()),
            proof: Zeroizing::new(proof.to_vec()),
        };
        let seed_index = if party == PartyId::P1 { 1 } else { 0 };
        Some(Self {
            party,
            binding,
            seeds: alloc::vec![(seed_index, first)],
            explicit: Some(Explicit { blind: Zeroizing::new(*blind), share }),
        })
    }

    /// Checks that the private part belongs to this submission and that its commitments hold, those to rows included, and
    /// gives the party's two shares: that of its own index, then the next.
    pub fn shares(
        self,
        statement: &Statement,
        layout: &Layout,
        ctx: &[u8; 32],
        hashes: &ShareHashes,
    ) -> Result<[Share; 2], Reject> {
        if self.binding != commitments::binding(statement, ctx, hashes) && !mutant!("binding-not-checked") {
            return Err(Reject::Binding);
        }
        let (party, keys) = (self.party, self.row_keys());
        let shares = self.committed(layout, hashes)?;
        for (index, (share, key)) in
            [party.index(), party.next().index()].into_iter().zip(shares.iter().zip(keys))
        {
            let holds = rows::commitment(&key, share.lanes(layout)) == hashes.rows[index];
            if !holds && !mutant!("row-commitments-not-checked") {
                return Err(Reject::RowHash);
            }
        }
        Ok(shares)
    }

    /// The keys of the commitments to the party's two rows: of its own index, then the next.
    pub fn row_keys(&self) -> [[u8; 32]; 2] {
        let secret = |index: usize| {
            let seed = self.seeds.iter().find(|(i, _)| *i == index).map(|(_, seed)| seed);
            seed.or(self.explicit.as_ref().map(|e| &e.blind))
                .map(|secret| rows::key(secret))
                .unwrap_or_default()
        };
        [self.party, self.party.next()].map(|p| secret(p.index()))
    }

    /// The two shares, if they are those that the hashes commit to.
    pub(super) fn committed(self, layout: &Layout, hashes: &ShareHashes) -> Result<[Share; 2], Reject> {
        let mut shares: Vec<Share> = Vec::with_capacity(2);
        for (index, seed) in &self.seeds {
            if commitments::seed(*index, seed) != hashes.seeds[*index] {
                return Err(Reject::SeedHash);
            }
            shares.push(Share::expand(*index, seed, layout));
        }
        if let Some(Explicit { blind, share }) = self.explicit {
            if commitments::witness(&blind, &share.witness) != hashes.witness {
                return Err(Reject::WitnessHash);
            }
            if commitments::proof(&blind, &share.proof) != hashes.proof {
                return Err(Reject::ProofHash);
            }
            shares.push(share);
        }
        if self.party == PartyId::P2 {
            shares.reverse();
        }
        shares.try_into().map_err(|_| Reject::MalformedPrivate)
    }
}
