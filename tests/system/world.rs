//! A running stack with a client.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tercet_client::Error;
use tercet_client::coordinator::{Coordinator, Deployment};
use tercet_client::http::HttpOptions;
use tercet_client::submit::{self, SubmitOptions, Submitted};
use tercet_evidence::Secrets;
use tercet_protocol::api::PartySurveyStatus;
use tercet_stack::{Options, Stack};

pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors")
}

/// The number of submissions that a party tells: rounded down to the size of a group, so that nobody learns who
/// waits.
pub fn told(submissions: u64) -> u64 {
    const MIN_NEW: u64 = 5;
    submissions / MIN_NEW * MIN_NEW
}

/// The cohort's folders.
pub fn cohort() -> Vec<PathBuf> {
    let mut dirs: Vec<_> =
        std::fs::read_dir(vectors().join("cohort")).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    dirs
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
}

pub struct World {
    pub dir: TempDir,
    pub stack: Stack,
    pub coordinator: Coordinator,
    pub deployment: Deployment,
}

/// Options for a data folder; programs and engine are the ones that `cargo xtask test` built.
pub fn options(data_dir: PathBuf, survey: PathBuf) -> Options {
    let built = target().join("wasm32-wasip2/engine/party_wasm.wasm");
    let engine = std::env::var_os("TERCET_ENGINE").map_or(built, PathBuf::from);
    let programs = tercet_stack::programs(&target(), "dev");
    for needed in [&engine, &programs.join("party-host")] {
        assert!(needed.exists(), "{} is not built: run `cargo xtask test`", needed.display());
    }
    Options { data_dir, programs, engine, survey: Some(survey), accounts: 1, rtt_ms: 0, resolve: Vec::new() }
}

impl World {
    pub async fn start(survey: PathBuf) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().to_path_buf(), survey);
        let stack = Stack::start(options, &mut |_| {}).unwrap();
        let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default()).unwrap();
        let survey = coordinator.survey(stack.survey()).await.unwrap();
        let deployment = coordinator.deployment(survey).await.unwrap();
        Self { dir, stack, coordinator, deployment }
    }

    pub async fn submit(&self, dir: &Path) -> Result<Submitted, Error> {
        let presentation = std::fs::read(dir.join("presentation.bin")).unwrap();
        let secrets = Secrets::decode(&std::fs::read(dir.join("secrets.bin")).unwrap()).unwrap();
        let options = SubmitOptions::default();
        submit::submit(&self.coordinator, &self.deployment, &presentation, &secrets, options, &|_| {}).await
    }

    /// Heights and heads of the three logs, as the parties' APIs say.
    pub async fn heights(&self) -> Vec<PartySurveyStatus> {
        let mut all = Vec::new();
        for i in 0..3 {
            let url = format!("{}/v1/surveys/{}", self.stack.party(i), self.stack.survey());
            let request = tercet_client::http::Request::get("a party", url.parse().unwrap());
            let answer = self.coordinator.http().send(&request).await.unwrap();
            all.push(serde_json::from_slice(&answer.body).unwrap());
        }
        all
    }

    /// Waits until the three logs are the same.
    pub async fn agreed(&self) -> PartySurveyStatus {
        for _ in 0..600 {
            let all = self.heights().await;
            if all.iter().all(|s| (s.height, s.head) == (all[0].height, all[0].head)) {
                return all[0].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the logs stay apart: {:?}", self.heights().await);
    }
}
