//! The party behind the API. The API listens before there is one: reading keys, waiting for the lease and compiling the engine
//! take a while, and a supervisor must not take that time for the death of the process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tercet_protocol::api::{Problem, ProblemKind};

use super::respond::Failure;
use crate::node::Node;

/// A party that runs, or that is about to.
#[derive(Default)]
pub struct Host {
    node: OnceLock<Arc<Node>>,
    doing: Mutex<&'static str>,
}

impl Host {
    /// Tells the present step of the start, for callers who ask meanwhile.
    pub fn does(&self, what: &'static str) {
        tracing::info!("{what}");
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The party runs: requests are for it to answer from here on.
    pub fn runs(&self, node: Arc<Node>) {
        // A process makes one party.
        let _second = self.node.set(node);
    }

    /// The party, if it runs.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }

    pub(super) fn running(&self) -> Result<&Arc<Node>, Failure> {
        self.node.get().ok_or_else(|| {
            let doing = *self.doing.lock().unwrap_or_else(PoisonError::into_inner);
            let detail = format!("the party is starting: {doing}");
            Failure(Problem::new(ProblemKind::PartyUnavailable, detail).retry_after(5))
        })
    }
}

impl From<Arc<Node>> for Host {
    fn from(node: Arc<Node>) -> Self {
        let host = Self::default();
        host.runs(node);
        host
    }
}
