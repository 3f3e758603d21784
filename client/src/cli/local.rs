//! Commands that need no network.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tercet_client::files::{self, Access};
use tercet_client::inspect::{Trust, inspect_file};
use tercet_client::query::{MAX_RESULT_FILE, ResultFile};
use tercet_client::show::to_text;
use tercet_client::{Error, operator, survey};
use tercet_protocol::survey::MAX_SURVEY_BYTES;

use super::args::{Inspect, Operator, Survey, VerifyResult};
use super::output;

pub fn inspect(args: &Inspect) -> Result<(), Error> {
    let trust = Trust { notaries: args.notary.clone(), roots: args.root.clone() };
    let report = inspect_file(&args.presentation, &trust)?;
    if args.json {
        return output::json(&report);
    }
    output::text(&report.to_text());
    Ok(())
}

pub fn verify_result(args: &VerifyResult) -> Result<(), Error> {
    let file = ResultFile::from_json(&files::read(&args.file, MAX_RESULT_FILE)?)?;
    let descriptor = args.descriptor.as_ref().map(|p| files::read(p, MAX_SURVEY_BYTES)).transpose()?;
    let survey = file.verify(args.survey, descriptor.as_ref().map(|d| d.as_slice()))?;
    let pinned = args.survey.is_some() || args.descriptor.is_some();
    if args.json {
        return output::json(&json!({
            "verdict": "verified",
            "survey": survey.id(),
            "survey_pinned": pinned,
            "parties": survey.parties(),
            "result": file.result,
        }));
    }
    let mut text = format!("verified: signed by all three parties\n\n{}\n", to_text(&file.result, &survey));
    for (i, key) in survey.parties().iter().enumerate() {
        text.push_str(&format!("party {i} {key}\n"));
    }
    if !pinned {
        text.push_str(
            "\nNOTE: compare the survey's id, or the three keys, with a source that you trust (--survey ID does it).\n",
        );
    }
    output::text(&text);
    Ok(())
}

pub fn survey(args: &Survey) -> Result<(), Error> {
    match args {
        Survey::Check { file, json } => {
            let checked = survey::check(file)?;
            if !json {
                output::text(&checked.to_text());
                return Ok(());
            }
            let id = checked.assembled.as_ref().map(|(id, _, _)| id);
            output::json(&json!({"valid": true, "survey": id, "manifest": checked.manifest}))
        }
        Survey::Assemble { survey_file, operators, engine, out, json } => {
            let [a, b, c] = operators.as_slice() else {
                return Err(Error::Usage(format!("give --operator three times, not {}", operators.len())));
            };
            let manifests =
                [operator::read_manifest(a)?, operator::read_manifest(b)?, operator::read_manifest(c)?];
            let descriptor = operator::assemble(survey_file, &manifests, *engine)?;
            files::write(out, descriptor.bytes(), Access::Public, true)?;
            if *json {
                return output::json(&json!({"survey": descriptor.id(), "file": out}));
            }
            output::text(&format!("survey {}\nwritten to {}\n", descriptor.id(), out.display()));
            Ok(())
        }
    }
}

pub fn operator(args: &Operator) -> Result<(), Error> {
    match args {
        Operator::Init { dir, operator, account, url, peer_address, engine } => {
            let settings = operator::Settings {
                operator: operator.clone(),
                account: account.clone(),
                url: url.clone(),
                peer_address: peer_address.clone(),
                engine: operator::engine_digest(engine)?,
            };
            operator::init(dir, &settings)?;
            output::text(&format!(
                "keys and settings are in {}\nengine {}\nback up the three .key files; next: tercet operator publish --dir {}\n",
                dir.display(),
                settings.engine,
                dir.display()
            ));
            Ok(())
        }
        Operator::Publish { dir } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            let manifest = operator::manifest(dir, now)?;
            let json = serde_json::to_string_pretty(&manifest).map_err(|e| Error::Usage(e.to_string()))?;
            output::text(&format!("{json}\n"));
            Ok(())
        }
    }
}
