//! The rules that the checker can leave out, one at a time, to show the failure that each prevents.

/// The rules that hold: all of them, unless the checker leaves one out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    pub(crate) two_numbers: bool,
    pub(crate) heard: bool,
    pub(crate) follow: bool,
    pub(crate) newest: bool,
    pub(crate) moved_on: bool,
}

impl Rules {
    /// All rules.
    pub const ALL: Self = Self { two_numbers: true, heard: true, follow: true, newest: true, moved_on: true };

    /// All rules but one.
    #[cfg(feature = "wrong-rules")]
    pub fn without(rule: Rule) -> Self {
        let mut rules = Self::ALL;
        *match rule {
            Rule::TwoNumbers => &mut rules.two_numbers,
            Rule::Heard => &mut rules.heard,
            Rule::Follow => &mut rules.follow,
            Rule::Newest => &mut rules.newest,
            Rule::MovedOn => &mut rules.moved_on,
        } = false;
        rules
    }
}

/// A rule that the checker can leave out.
#[cfg(feature = "wrong-rules")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A certificate is newer only if two parties' numbers are greater in it; without the rule, one is enough.
    TwoNumbers,
    /// A prepare needs a frame of each other party that is bound to the session's id.
    Heard,
    /// Locks that others show are finished.
    Follow,
    /// The newest certificate is finished; without the rule, the oldest one.
    Newest,
    /// A lock yields if both others have prepared another entry since.
    MovedOn,
}

#[cfg(feature = "wrong-rules")]
impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::TwoNumbers, Self::Heard, Self::Follow, Self::Newest, Self::MovedOn];
}
