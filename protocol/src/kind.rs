//! The kinds of evidence that there are: one byte on the wire.

use serde::{Deserialize, Serialize};

/// A kind of evidence that a server sent certain bytes.
///
/// Its byte is in the public part of a submission and in the domain of every hash that identifies a session, so that
/// nothing made for one kind is ever read as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// A presentation of TLSNotary: a TLS 1.2 session of which a notary held half of the keys.
    #[serde(rename = "tlsnotary")]
    Presentation = 1,
    /// A TLS 1.3 session that a notary forwarded and recorded.
    #[serde(rename = "proxy")]
    Session = 2,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Presentation, Self::Session];

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The kind of a byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    /// Its name in a survey file, under `[[notaries]]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Presentation => "tlsnotary",
            Self::Session => "proxy",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_closed() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind.byte()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!(Kind::from_byte(0), None);
        assert_eq!(Kind::from_byte(3), None);
    }
}
