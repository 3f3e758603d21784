//! The structures of the wire format, as in files: decoded strictly, encoded byte-identically, not yet believed.

pub(crate) mod attestation;
pub(crate) mod connection;
pub(crate) mod presentation;
pub(crate) mod transcript;

use core::fmt;

/// Which upstream release's format a file is in. Nothing in a file says so: the two differ in a
/// few layouts and in the domain separators under the signed root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WireVersion {
    /// TLSNotary 0.1.0-alpha.12.
    Alpha12,
    /// TLSNotary 0.1.0-alpha.14 and alpha.15 (identical on the wire).
    Alpha15,
}

impl WireVersion {
    /// Both, newest first: the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Alpha15, Self::Alpha12];

    /// `0.1.0-alpha.12` or `0.1.0-alpha.15`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpha12 => "0.1.0-alpha.12",
            Self::Alpha15 => "0.1.0-alpha.15",
        }
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The result of the version under which reading got farthest: the other guess fails early, and
/// its complaint would mislead.
pub(crate) fn decode_any<T: crate::codec::Decode>(
    bytes: &[u8],
) -> (Vec<(WireVersion, T)>, Option<crate::DecodeError>) {
    let mut found = Vec::new();
    let mut failure: Option<(usize, crate::DecodeError)> = None;
    for version in WireVersion::ALL {
        match T::from_bincode(bytes, version) {
            Ok(value) => found.push((version, value)),
            Err((at, error)) => {
                if failure.as_ref().is_none_or(|(best, _)| at > *best) {
                    failure = Some((at, error));
                }
            }
        }
    }
    (found, failure.map(|(_, error)| error))
}
