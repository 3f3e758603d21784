//! The provider's proof, native.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tercet_evidence::Kind;
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::submission::{PublicPart, ShareHashes, ShareUpload, Ticket, seal_private};

use crate::Cli;
use crate::report::{Limit, Report, spread};
use crate::statements::{HASHES, case};

/// A presentation of usual size: the upload carries one.
const PRESENTATION: &str = "../../tests/fixtures/vectors/cohort/provider00/presentation.bin";

/// Measures proving time and upload.
pub fn run(cli: &Cli) -> Result<Report> {
    let rounds = if cli.quick { 7 } else { 51 };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PRESENTATION);
    let presentation = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let mut report = Report::new(
        "prove",
        format!("provider's proof of value and square, native, one thread, {rounds} proofs each"),
    );
    for (name, alg) in HASHES {
        eprintln!("proving with {name}");
        let mut times = Vec::with_capacity(rounds);
        let mut last = None;
        for i in 0..rounds as u64 {
            let case = case(alg, i)?;
            let mut public = PublicPart {
                survey: SurveyId([1; 32]),
                kind: Kind::Presentation,
                withdrawal_key: PublicKey([0; 32]),
                evidence: presentation.clone(),
                share_hashes: ShareHashes::default(),
            };
            let context = public.proof_context();
            let start = Instant::now();
            let proven =
                tercet_mpc::prove(&case.statement, &case.witness, &context, &[i as u8; 32], &mut |_| {})?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            public.share_hashes = proven.public;
            last = Some((case.statement.layout(), public, proven));
        }
        let (layout, public, proven) = last.context("no round")?;
        let (min, median, max) = spread(&times);
        if name == "sha256" {
            report.limited(format!("{name}.median"), median, "ms", Limit::AtMost(150.0));
        } else {
            report.figure(format!("{name}.median"), median, "ms");
        }
        report.figure(format!("{name}.min"), min, "ms");
        report.figure(format!("{name}.max"), max, "ms");
        report.figure(format!("{name}.and_gates"), layout.gates as f64, "gates");
        let ticket = Ticket::issue(&SigningKey::from_seed(&[9; 32])?, public.survey, public.id(), 0);
        for (party, private) in (0u8..3).zip(&proven.private) {
            let key = OpeningKey::from_seed(&[party + 1; 32]).public();
            let sealed = seal_private(key, public.id(), party, private)?;
            report.figure(format!("{name}.sealed.party_{party}"), sealed.len() as f64, "bytes");
            let upload = ShareUpload { public: public.encode(), ticket: ticket.clone(), sealed }.encode();
            report.limited(
                format!("{name}.upload.party_{party}"),
                upload.len() as f64,
                "bytes",
                Limit::AtMost(25_000.0),
            );
        }
    }
    Ok(report)
}
