//! Commands that need no network.

use std::path::Path;

use serde_json::json;
use tercet_client::files::{self, Access};
use tercet_client::inspect::{Trust, inspect_file, printable};
use tercet_client::query::{MAX_RESULT_FILE, ResultFile};
use tercet_client::recorded::{self, Recording};
use tercet_client::session::{self, Found};
use tercet_client::show::to_text;
use tercet_client::{Error, operator, survey, survey_new};
use tercet_protocol::survey::{MAX_SURVEY_BYTES, SurveyDescriptor};

use super::args::{Inspect, Survey, VerifyResult};
use super::{choose, output};

pub fn inspect(args: &Inspect) -> Result<(), Error> {
    let presentation = match (&args.recorded, &args.server_name, &args.presentation) {
        (Some(dir), Some(server_name), _) => return inspect_recorded(args, dir, server_name),
        (_, _, Some(presentation)) => presentation,
        _ => {
            return Err(Error::Usage(
                "name a presentation, a session's folder, or --recorded DIR --server-name NAME".into(),
            ));
        }
    };
    let trust = Trust { notaries: args.notary.clone(), roots: args.root.clone() };
    if let Some(mut found) = session::find(presentation)? {
        found.secret = args.handshake_secret.clone().or_else(|| found.secret.take());
        return inspect_session(args, found, &trust);
    }
    if args.survey_file.is_some() || args.handshake_secret.is_some() {
        return Err(Error::Usage(
            "--survey-file and --handshake-secret are for sessions, and the file holds none".into(),
        ));
    }
    let report = inspect_file(presentation, &trust)?;
    if args.json {
        return output::json(&report);
    }
    output::text(&report.to_text());
    Ok(())
}

fn inspect_session(args: &Inspect, found: Found, trust: &Trust) -> Result<(), Error> {
    let survey = match &args.survey_file {
        Some(path) => Some(SurveyDescriptor::from_bytes(files::read(path, MAX_SURVEY_BYTES)?.to_vec())?),
        None => None,
    };
    let report = session::inspect(found, trust, survey.as_ref())?;
    if args.json {
        return output::json(&report);
    }
    output::text(&printable(&report.to_text()));
    Ok(())
}

fn inspect_recorded(args: &Inspect, dir: &Path, server_name: &str) -> Result<(), Error> {
    let findings = recorded::inspect(&Recording {
        dir: dir.into(),
        roots: args.root.clone(),
        server_name: server_name.into(),
        handshake_secret: args.handshake_secret.clone(),
    })?;
    match args.json {
        true => output::json(&findings)?,
        false => output::text(&findings.to_text()),
    }
    findings.refusal().map_or(Ok(()), Err)
}

pub fn verify_result(args: &VerifyResult) -> Result<(), Error> {
    let file = ResultFile::from_json(&files::read(&args.file, MAX_RESULT_FILE)?)?;
    let given = args.descriptor.as_ref().map(|p| files::read(p, MAX_SURVEY_BYTES)).transpose()?;
    let given = given.map(|bytes| bytes.to_vec());
    let remembered = match choose::memory() {
        Some(memory) => memory.survey(file.result.survey)?,
        None => None,
    };
    let pinned = args.survey.is_some() || given.is_some() || remembered.is_some();
    let descriptor = given.or_else(|| remembered.map(|s| s.bytes().to_vec()));
    let survey = file.verify(args.survey, descriptor.as_deref())?;
    if !pinned {
        return Err(Error::Unpinned(survey.id()));
    }
    if args.json {
        return output::json(&json!({
            "verdict": "verified",
            "survey": survey.id(),
            "parties": survey.parties(),
            "result": file.result,
        }));
    }
    let mut text = format!("verified: signed by all three parties\n\n{}\n", to_text(&file.result, &survey));
    for (i, key) in survey.parties().iter().enumerate() {
        text.push_str(&format!("party {i} {key}\n"));
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
        // Has an exit status of its own: see `surveys`.
        Survey::Try { .. } => Ok(()),
        Survey::New { from_har, url } => {
            let har = files::read(from_har, survey_new::MAX_HAR)?;
            output::text(&survey_new::draft(&har, url.as_deref())?);
            Ok(())
        }
        Survey::Assemble { survey_file, operators, engine, out, force, json } => {
            files::check_output(out, *force)?;
            let manifests = super::operators::three(operators)?;
            let descriptor = operator::assemble(survey_file, &manifests, *engine)?;
            files::write(out, descriptor.bytes(), Access::Public, *force)?;
            if *json {
                return output::json(&json!({"survey": descriptor.id(), "file": out}));
            }
            output::text(&format!("survey {}\nwritten to {}\n", descriptor.id(), out.display()));
            Ok(())
        }
        Survey::Approve { file, id, dir, surveys } => {
            let path = operator::approve(file, *id, dir, surveys)?;
            let checked = survey::check(&path)?;
            output::text(&format!(
                "{}\napproved: {}\nthe party runs it after its next start\n",
                checked.to_text(),
                path.display()
            ));
            Ok(())
        }
    }
}
