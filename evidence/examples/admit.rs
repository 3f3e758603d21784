//! Says what a survey admits of a TLSNotary presentation: the counted identity, the hidden values, and the statement
//! to be proven about them.
//!
//! `cargo run -p tercet-evidence --example admit [PRESENTATION]`; without a file it takes one of the fixtures.

use std::error::Error;
use std::path::{Path, PathBuf};

use tercet_evidence::{Kind, SurveyVerifier};
use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};

fn main() -> Result<(), Box<dyn Error>> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors");
    let fixture = vectors.join("0.1.0-alpha.15/real_mpc_sha256/presentation.bin");
    let file = std::env::args_os().nth(1).map_or(fixture, PathBuf::from);

    let manifest = SurveyManifest::from_toml(&std::fs::read_to_string(vectors.join("survey.toml"))?)?;
    let root = std::fs::read(vectors.join("root.der"))?;
    // A real descriptor names a deployment's parties and its engine.
    let parties = [1, 2, 3].map(|i| PublicKey([i; 32]));
    let survey = SurveyDescriptor::assemble(manifest, &[root], parties, EngineDigest([0; 32]))?;

    match SurveyVerifier::new(&survey)?.check(Kind::Presentation, &std::fs::read(&file)?) {
        Ok((verified, admitted)) => {
            println!("counted once, as {}", admitted.nullifier);
            for (name, column) in survey.manifest().hidden_names().iter().zip(&admitted.columns) {
                println!("{name}: a hidden text of {} bytes", column.length());
            }
            let statement = verified.statement(&admitted, survey.manifest())?;
            println!("to be proven: {:?}", statement.outputs());
        }
        Err(denied) => println!("refused by the rule {}: {denied}", denied.code()),
    }
    Ok(())
}
