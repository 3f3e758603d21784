//! Commitments to the rows of a submission, one for each share: a party that lacks its row takes it from the two others and
//! checks it by them. They are in the submission's public part and in the log.
//!
//! They do not depend on the protocol's version, because stored rows outlive it.

/// The key that hides the commitment to a share's row, made from the secret of the share: the seed of share 0 or 1,
/// the blind of share 2. Both holders of the share know it, and it tells nothing about the secret.
pub fn key(secret: &[u8; 32]) -> [u8; 32] {
    *blake3::Hasher::new_derive_key("tercet row key v1").update(secret).finalize().as_bytes()
}

/// The commitment to a share's row: to the arithmetic shares of all lanes, in the order of
/// [`Statement::lanes`](crate::Statement::lanes).
pub fn commitment(key: &[u8; 32], lanes: impl IntoIterator<Item = u128>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("tercet row v1");
    if !crate::mutant!("row-commitment-without-key") {
        hasher.update(key);
    }
    for lane in lanes {
        hasher.update(&lane.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_committed_to_with_its_key() {
        let base = commitment(&key(&[1; 32]), [1, 2, 3]);
        assert_eq!(base, commitment(&key(&[1; 32]), [1, 2, 3]));
        let others = [
            commitment(&key(&[2; 32]), [1, 2, 3]),
            commitment(&[1; 32], [1, 2, 3]),
            commitment(&key(&[1; 32]), [1, 2]),
            commitment(&key(&[1; 32]), [2, 1, 3]),
            commitment(&key(&[1; 32]), [1 << 127, 2, 3]),
        ];
        for (i, other) in others.iter().enumerate() {
            assert_ne!(base, *other, "{i}");
            assert!(!others[..i].contains(other), "{i}");
        }
        // The key is not the secret: who gets it to check a row cannot make the share's proof with it.
        assert_ne!(key(&[1; 32]), [1; 32]);
    }
}
