//! The surveys that a party runs or is about to, and the deployment that they run in. Both change while it runs: a survey is
//! loaded beside those that run, and takes part once its log is read.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::operator::{Federation, FederationError, OperatorManifest};

use super::{Node, SurveyNode, lead};
use crate::peer::{KnownPeer, StartError};
use crate::store::Progress;

/// The state of an approved survey.
enum Stage {
    /// Its log is being read.
    Loading(Loading),
    /// It takes part.
    Runs(Arc<SurveyNode>),
}

/// A survey whose log is being read.
struct Loading {
    progress: Arc<Progress>,
    /// The party is starting with it. One that is approved later keeps the party ready for the others.
    first: bool,
}

/// Every approved survey by its id.
#[derive(Default)]
pub(super) struct Roster(RwLock<HashMap<SurveyId, Stage>>);

impl Roster {
    fn with<T>(&self, f: impl FnOnce(&HashMap<SurveyId, Stage>) -> T) -> T {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, id: SurveyId, stage: Stage) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, stage);
    }

    /// The surveys that take part.
    pub fn running(&self) -> Vec<Arc<SurveyNode>> {
        let runs = |stage: &Stage| match stage {
            Stage::Runs(survey) => Some(survey.clone()),
            Stage::Loading(_) => None,
        };
        self.with(|all| all.values().filter_map(runs).collect())
    }

    /// A sentence about the surveys that are not loaded yet, or about those of them that the party starts with; `None` if there
    /// are none.
    pub fn loading(&self, first_only: bool) -> Option<String> {
        let says = |(id, stage): (&SurveyId, &Stage)| match stage {
            Stage::Loading(of) if of.first || !first_only => Some(loading(id, &of.progress)),
            _ => None,
        };
        let mut texts: Vec<String> = self.with(|all| all.iter().filter_map(says).collect());
        texts.sort();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

fn loading(id: &SurveyId, progress: &Progress) -> String {
    match progress.entries() {
        (_, 0) => format!("the log of survey {id} is looked for"),
        (done, all) => format!("{done} of {all} log entries of survey {id} are read"),
    }
}

/// Why a peer's opening message about a survey is not followed.
pub(super) enum Unserved {
    /// The survey is being loaded.
    Loading,
    /// This party does not run it.
    Unknown,
}

impl Node {
    /// A survey as it runs here.
    pub fn survey(&self, id: SurveyId) -> Result<Arc<SurveyNode>, Problem> {
        self.roster.with(|all| match all.get(&id) {
            Some(Stage::Runs(survey)) => Ok(survey.clone()),
            Some(Stage::Loading(of)) => {
                let detail = format!("the survey is being loaded: {}", loading(&id, &of.progress));
                Err(Problem::new(ProblemKind::PartyUnavailable, detail).retry_after(5))
            }
            None => Err(Problem::new(
                ProblemKind::NotFound,
                "this party does not run this survey: its operator has not approved it",
            )),
        })
    }

    /// A survey that a peer speaks of.
    pub(super) fn served(&self, id: &SurveyId) -> Result<Arc<SurveyNode>, Unserved> {
        self.roster.with(|all| match all.get(id) {
            Some(Stage::Runs(survey)) => Ok(survey.clone()),
            Some(Stage::Loading(_)) => Err(Unserved::Loading),
            None => Err(Unserved::Unknown),
        })
    }

    /// True for a survey that this party runs or loads.
    pub fn knows(&self, id: &SurveyId) -> bool {
        self.roster.with(|all| all.contains_key(id))
    }

    /// The surveys that take part.
    pub fn running(&self) -> Vec<Arc<SurveyNode>> {
        self.roster.running()
    }

    /// A survey's log is being read from here on: requests about it are answered with 503 until [`Self::adopt`]. The party is not
    /// ready before those that it starts with are there: `first`.
    pub fn loads(&self, id: SurveyId, progress: Arc<Progress>, first: bool) {
        self.roster.put(id, Stage::Loading(Loading { progress, first }));
    }

    /// A survey could not be loaded, and is none of this party's.
    pub fn gives_up(&self, id: &SurveyId) {
        self.roster.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// A loaded survey takes part from here on; nothing happens if it does already, since a party is in one session of a survey
    /// at a time.
    pub async fn adopt(self: &Arc<Self>, survey: SurveyNode) -> Result<(), FederationError> {
        if self.survey(survey.id()).is_ok() {
            return Ok(());
        }
        self.federation().in_order(survey.parties())?;
        let survey = Arc::new(survey);
        self.roster.put(survey.id(), Stage::Runs(survey.clone()));
        lead::run_loops(self, survey).await;
        Ok(())
    }

    /// An error while the party cannot work; the text gives the reason.
    pub fn ready(&self) -> Result<(), String> {
        if *self.stop.borrow() {
            return Err("the party is shutting down".into());
        }
        match self.roster.loading(true) {
            Some(what) => Err(format!("the party is starting: {what}")),
            None => Ok(()),
        }
    }

    /// A sentence about surveys that are being loaded: an id that is not found may belong to one of them.
    pub fn loading(&self) -> Option<String> {
        self.roster.loading(false)
    }

    /// The present description of the deployment.
    pub fn federation(&self) -> Arc<Federation> {
        self.federation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes another description of the deployment, which is verified: the coordinator's keys and the peers' addresses and link
    /// keys are those in it from here on. Links to peers that stay the same stay up.
    ///
    /// # Errors
    ///
    /// It lacks an operator of a survey that runs, a manifest is older than the one in use, or the links cannot be made as it
    /// says. Nothing has changed then.
    pub fn redeploy(&self, federation: Federation) -> Result<(), RedeployError> {
        for survey in self.running() {
            federation.in_order(survey.parties())?;
        }
        let own = self.identity.public();
        if !federation.operators.iter().any(|m| m.identity == own) {
            return Err(FederationError::Missing(own).into());
        }
        for known in &self.federation().operators {
            let now = federation.operators.iter().find(|m| m.identity == known.identity);
            if now.is_some_and(|m| m.issued < known.issued) {
                return Err(RedeployError::Older(known.identity));
            }
        }
        let peers = federation.operators.iter().filter(|m| m.identity != own);
        self.links.replace(peers.map(KnownPeer::from).collect())?;
        *self.federation.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(federation);
        Ok(())
    }

    /// The operator's signed manifest.
    pub fn manifest(&self) -> Option<OperatorManifest> {
        let own = self.identity.public();
        self.federation().operators.iter().find(|m| m.identity == own).cloned()
    }

    /// The link keys of a survey's parties, in their order: by these the links name them.
    pub(super) fn link_keys(&self, survey: &SurveyNode) -> Result<[PublicKey; 3], FederationError> {
        Ok(self.federation().in_order(survey.parties())?.map(|m| m.peer_key))
    }

    /// A peer's index in a survey, by its link key.
    pub(super) fn index_of(&self, survey: &SurveyNode, peer: &PublicKey) -> Option<u8> {
        let keys = self.link_keys(survey).ok()?;
        (0u8..3).zip(keys).find_map(|(i, key)| (key == *peer).then_some(i))
    }
}

/// Why another description of the deployment is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RedeployError {
    /// It lacks an operator.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// A manifest is older than the one in use: keys that were replaced do not come back.
    #[error("the manifest of operator {0} is older than the one in use: take the one that was issued last")]
    Older(PublicKey),
    /// The links to the peers.
    #[error(transparent)]
    Links(#[from] StartError),
}
