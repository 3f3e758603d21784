//! Commands that talk to a deployment.

use std::time::Duration;

use tercet_client::Error;
use tercet_client::coordinator::Coordinator;
use tercet_client::files::{self, Access};
use tercet_client::http::{HttpOptions, RetryPolicy};
use tercet_client::inspect::printable;
use tercet_client::query::{QueryOptions, ResultFile};
use tercet_client::show::{to_csv, to_text};
use tercet_client::submit::{Event, SubmitOptions};
use tercet_evidence::Secrets;
use tercet_protocol::api::{QueryRequest, SubmissionState};
use tercet_protocol::filter::Filter;
use tercet_protocol::survey::SurveyDescriptor;

use super::args::{Connect, Published, Query, ResultFormat, Shown, Status, Submit};
use super::output::{self, Progress};

const MAX_SECRETS_FILE: usize = 16 << 20;

fn connect(args: &Connect) -> Result<Coordinator, Error> {
    Coordinator::new(&args.coordinator, HttpOptions { allow_http: args.allow_http, ..HttpOptions::default() })
}

/// For what has no one to start it again: enough attempts for a party or coordinator to restart meanwhile.
fn connect_patiently(args: &Connect) -> Result<Coordinator, Error> {
    let retry = RetryPolicy { attempts: 8, ..RetryPolicy::default() };
    Coordinator::new(&args.coordinator, HttpOptions { allow_http: args.allow_http, retry })
}

pub async fn submit(args: &Submit) -> Result<(), Error> {
    let file = files::read(&args.presentation, MAX_SECRETS_FILE)?;
    let presentation = tlsn_verifier::presentation_bytes(&file).map_err(|e| Error::Usage(e.to_string()))?;
    let secrets = files::read(&args.secrets, MAX_SECRETS_FILE)?;
    let secrets = Secrets::decode(&secrets).map_err(|e| Error::Value(format!("the secrets file: {e}")))?;
    let coordinator = connect_patiently(&args.connect)?;
    let progress = Progress::spinner("fetching the survey");
    let survey = coordinator.choose(args.survey).await?;
    let title = survey.manifest().survey.title.clone();
    let deployment = coordinator.deployment(survey).await?;
    let on_event = |event: Event| {
        progress.message(match event {
            Event::Checked => "the presentation fits the survey".into(),
            Event::Proving(done) => format!("proving {:.0} %", done * 100.0),
            Event::Uploading(_) => "sealed shares on their way to the three parties".into(),
            Event::Accepted(party) => format!("accepted by {}", deployment.party_name(party)),
        });
    };
    let options = SubmitOptions { timeout: Duration::from_secs(args.timeout), ..SubmitOptions::default() };
    let done =
        tercet_client::submit::submit(&coordinator, &deployment, &presentation, &secrets, options, &on_event);
    let done = done.await?;
    drop(progress);
    if let Some(path) = &args.receipt {
        let json = serde_json::to_vec_pretty(&done).map_err(|e| Error::Usage(e.to_string()))?;
        files::write(path, &json, Access::Public, true)?;
    }
    if args.json {
        return output::json(&done);
    }
    let height = done.receipts.first().map_or(0, |r| r.height);
    output::text(&format!(
        "accepted by all three parties, at log height {height}\nsubmission {}\nsurvey {} ({})\n",
        done.submission,
        done.survey,
        printable(&title)
    ));
    Ok(())
}

pub async fn status(args: &Status) -> Result<(), Error> {
    let coordinator = connect(&args.connect)?;
    let status = coordinator.submission(args.id).await?;
    if let SubmissionState::Accepted { receipts } = &status.state {
        let survey = coordinator.survey(status.survey).await?;
        coordinator.deployment(survey).await?.verify_receipts(args.id, receipts)?;
    }
    if args.json {
        return output::json(&status);
    }
    let state = match &status.state {
        SubmissionState::Pending => "pending: admitted or uploaded, not decided yet".to_owned(),
        SubmissionState::Accepted { receipts } => {
            let height = receipts.first().map_or(0, |r| r.height);
            format!("accepted: three receipts verified, log height {height}")
        }
        SubmissionState::Rejected { problem } => format!("rejected: {}", printable(&problem.to_string())),
    };
    output::text(&format!("{state}\nsubmission {}\nsurvey {}\n", status.submission, status.survey));
    Ok(())
}

pub async fn query(args: &Query) -> Result<(), Error> {
    let coordinator = connect(&args.connect)?;
    let progress = Progress::spinner("the parties are computing");
    let survey = coordinator.choose(args.survey).await?;
    let options = QueryOptions { timeout: Duration::from_secs(args.timeout), ..QueryOptions::default() };
    let filter = args.conditions.iter().fold(Filter::default(), |f, c| f.or(&c.field, &c.value));
    let request = QueryRequest { statistics: args.statistics.clone(), filter };
    let file = tercet_client::query::ask(&coordinator, &survey, &request, options).await?;
    drop(progress);
    show_result(&file, &survey, args.survey.is_some(), &args.shown)
}

pub async fn published(args: &Published) -> Result<(), Error> {
    let coordinator = connect(&args.connect)?;
    let survey = coordinator.choose(args.survey).await?;
    let file = tercet_client::query::published(&coordinator, &survey).await?;
    show_result(&file, &survey, args.survey.is_some(), &args.shown)
}

fn show_result(
    file: &ResultFile,
    survey: &SurveyDescriptor,
    pinned: bool,
    shown: &Shown,
) -> Result<(), Error> {
    if let Some(path) = &shown.output {
        let json = serde_json::to_vec_pretty(file).map_err(|e| Error::Usage(e.to_string()))?;
        files::write(path, &json, Access::Public, true)?;
    }
    match shown.format() {
        ResultFormat::Text => {}
        ResultFormat::Json => return output::json(file),
        ResultFormat::Csv => {
            output::text(&to_csv(&file.result)?);
            return Ok(());
        }
    }
    let keys = if pinned { "" } else { " (the survey is the coordinator's only one; --survey pins it)" };
    let text = to_text(&file.result, survey);
    output::text(&printable(&format!("{text}signatures of all three parties verified{keys}\n")));
    Ok(())
}
