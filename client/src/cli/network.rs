//! Commands that talk to a deployment.

use std::time::Duration;

use tercet_client::Error;
use tercet_client::consent;
use tercet_client::coordinator::Coordinator;
use tercet_client::files::{self, Access};
use tercet_client::http::{HttpOptions, RetryPolicy};
use tercet_client::inspect::printable;
use tercet_client::query::{QueryOptions, ResultFile};
use tercet_client::session::{Notarized, Target};
use tercet_client::show::{to_csv, to_text};
use tercet_client::submit::{Event, SubmitOptions, Submitted};
use tercet_client::withdraw::{MAX_RECEIPT_FILE, ReceiptFile};
use tercet_evidence::Secrets;
use tercet_protocol::api::{QueryRequest, SubmissionState, SubmissionStatus};
use tercet_protocol::filter::Filter;
use tercet_protocol::submission::Receipt;
use tercet_protocol::survey::SurveyDescriptor;
use zeroize::Zeroizing;

use super::args::{Connect, Published, Query, Release, ResultFormat, Shown, Status, Submit, Withdraw};
use super::choose::{self, choose};
use super::output::{self, Progress};

const MAX_SECRETS_FILE: usize = 16 << 20;

fn connect(args: &Connect) -> Result<Coordinator, Error> {
    Coordinator::new(&args.coordinator, HttpOptions { allow_http: args.allow_http, ..HttpOptions::default() })
}

/// For commands that nobody starts again: enough attempts for a party or coordinator to restart meanwhile.
pub(super) fn connect_patiently(args: &Connect) -> Result<Coordinator, Error> {
    let retry = RetryPolicy { attempts: 8, ..RetryPolicy::default() };
    Coordinator::new(&args.coordinator, HttpOptions { allow_http: args.allow_http, retry })
}

pub async fn submit(args: &Submit) -> Result<(), Error> {
    let coordinator = connect_patiently(&args.connect)?;
    submit_at(args, &coordinator, None).await
}

/// The same at a coordinator that is talked to already, and to a survey that was fetched from it.
pub(super) async fn submit_at(
    args: &Submit,
    coordinator: &Coordinator,
    survey: Option<SurveyDescriptor>,
) -> Result<(), Error> {
    // Everything that can be wrong on this machine is found before anything is sent.
    let folder = std::path::Path::new(".");
    match &args.receipt {
        _ if args.dry_run => {}
        Some(path) => files::check_output(path, args.force)?,
        None => files::check_output(&folder.join(format!(".tercet-{}", std::process::id())), false)?,
    }
    let given = match (&args.presentation, &args.secrets, &args.evidence) {
        (Some(presentation), Some(secrets), _) => {
            let file = files::read(presentation, MAX_SECRETS_FILE)?;
            let presentation =
                tlsn_verifier::presentation_bytes(&file).map_err(|e| Error::Usage(e.to_string()))?;
            let secrets = files::read(secrets, MAX_SECRETS_FILE)?;
            let secrets =
                Secrets::decode(&secrets).map_err(|e| Error::Value(format!("the secrets file: {e}")))?;
            Ok((presentation.to_vec(), secrets))
        }
        (_, _, Some(dir)) => Err(dir),
        _ => return Err(Error::Usage("give --presentation and --secrets, or --evidence".into())),
    };
    let survey = match survey {
        Some(survey) => survey,
        None => choose(coordinator, args.choose.survey).await?,
    };
    let deployment = coordinator.deployment(survey).await?;
    // What of a session is shown and hidden is for the survey to say.
    let (presentation, secrets) = match given {
        Ok(given) => given,
        Err(dir) => {
            Notarized::read(dir, &Target::of(&deployment.survey)?)?.evidence(deployment.survey.manifest())?
        }
    };
    let opened = tercet_client::submit::check(&deployment.survey, &presentation, &secrets)?;
    output::note(&printable(&consent::to_text(&deployment, secrets.kind())));
    opened.warnings().iter().for_each(|warning| output::note(&format!("WARNING: {warning}")));
    if args.dry_run {
        output::note(&format!("What coordinator and parties would see:\n\n{}\n", opened.seen()));
        output::note("The files fit this survey. Nothing was sent.");
        return Ok(());
    }
    if !args.yes {
        choose::ask("Send your value to this survey?", "nothing was sent")?;
    }
    let progress = Progress::spinner("checking");
    let on_event = |event: Event| {
        progress.message(match event {
            Event::Checked => "the evidence fits the survey".into(),
            Event::Proving(done) => format!("proving {:.0} %", done * 100.0),
            Event::Uploading(_) => "sealed shares on their way to the three parties".into(),
            Event::Accepted(party) => format!("accepted by {}", deployment.party_name(party)),
        });
    };
    let options = SubmitOptions { timeout: Duration::from_secs(args.timeout), ..SubmitOptions::default() };
    let done =
        tercet_client::submit::submit(coordinator, &deployment, &presentation, &secrets, options, &on_event);
    let done = done.await?;
    drop(progress);
    // Accepted: whatever fails from here on must not look as if it were not.
    let path = match &args.receipt {
        Some(path) => path.clone(),
        None => folder.join(format!("tercet-receipt-{}.json", &done.submission.to_string()[..12])),
    };
    keep_receipt(&path, args, coordinator, &done).map_err(|cause| Error::AcceptedBut {
        id: done.submission,
        cause: Box::new(cause),
        what_to_do: "Send the same files again with another --receipt: that changes nothing but the receipt",
    })?;
    let path = path.display().to_string();
    if args.json {
        let mut shown = serde_json::to_value(&done).map_err(|e| Error::Usage(e.to_string()))?;
        shown["receipt_file"] = path.into();
        return output::json(&shown);
    }
    let height = done.receipts.first().map_or(0, |r| r.height);
    output::text(&format!(
        "accepted by all three parties, at log height {height}\nsubmission {}\nsurvey {} ({})\nreceipt {path}\n\
         To leave again: tercet withdraw --receipt {path}\n",
        done.submission,
        done.survey,
        printable(&deployment.survey.manifest().survey.title)
    ));
    Ok(())
}

/// Writes the receipt. A receipt of the same submission, from an earlier run, is replaced, since both are equal.
fn keep_receipt(
    path: &std::path::Path,
    args: &Submit,
    coordinator: &Coordinator,
    done: &Submitted,
) -> Result<(), Error> {
    let key = done.withdrawal.as_ref().ok_or_else(|| Error::Value("the submission has no key".into()))?;
    let file = ReceiptFile::new(coordinator.url().as_str(), done, key, &path.display().to_string());
    let json =
        serde_json::to_vec_pretty(&file).map(Zeroizing::new).map_err(|e| Error::Usage(e.to_string()))?;
    let same = path.is_file()
        && files::read(path, MAX_RECEIPT_FILE)
            .and_then(|old| ReceiptFile::from_json(&old))
            .is_ok_and(|old| old.submission == done.submission);
    files::write(path, &json, Access::Private, args.force || same)
}

pub async fn withdraw(args: &Withdraw) -> Result<(), Error> {
    if let Some(path) = &args.output {
        files::check_output(path, args.force)?;
    }
    let file = ReceiptFile::from_json(&files::read(&args.receipt, MAX_RECEIPT_FILE)?)?;
    let url = args.coordinator.as_ref().unwrap_or(&file.coordinator);
    let retry = RetryPolicy { attempts: 8, ..RetryPolicy::default() };
    let coordinator = Coordinator::new(url, HttpOptions { allow_http: args.allow_http, retry })?;
    let survey = coordinator.survey(file.survey).await?;
    let title = printable(&survey.manifest().survey.title);
    let deployment = coordinator.deployment(survey).await?;
    output::note(&format!(
        "submission {}\nsurvey {} ({title})\nIts shares will be deleted at all three parties. That cannot be undone.",
        file.submission, file.survey
    ));
    if !args.yes {
        choose::ask("Leave this survey?", "nothing was withdrawn")?;
    }
    let progress = Progress::spinner("the three parties agree on erasing it");
    let timeout = Duration::from_secs(args.timeout);
    let erased = tercet_client::withdraw::withdraw(&coordinator, &deployment, &file, timeout).await?;
    drop(progress);
    if let Some(path) = &args.output {
        let json = serde_json::to_vec_pretty(&erased).map_err(|e| Error::Usage(e.to_string()))?;
        files::write(path, &json, Access::Public, args.force)?;
    }
    if args.json {
        return output::json(&erased);
    }
    output::text(&erased.to_text());
    Ok(())
}

pub async fn release(args: &Release) -> Result<(), Error> {
    let coordinator = connect(&args.connect)?;
    let survey = choose(&coordinator, args.choose.survey).await?;
    let progress = Progress::spinner("the three parties agree on a release point");
    let now = coordinator.release_now(survey.id()).await?;
    if args.wait && now.release > 0 {
        let patience = Duration::from_secs(args.timeout);
        tercet_client::query::await_published(&coordinator, &survey, now.release, patience).await?;
    }
    drop(progress);
    if args.json {
        return output::json(&now);
    }
    output::text(&match (now.made, now.release) {
        (true, n) => format!("release point {n}\n"),
        (false, 0) => "nothing would enter: there is no release point yet\n".into(),
        (false, n) => format!("nothing would enter: release point {n} stays the newest\n"),
    });
    Ok(())
}

/// The receipts of parties that have accepted a submission that the coordinator cannot decide yet. If they cannot be asked, that
/// is no error: then it stays undecided here too. That they cannot be asked is no error: then it stays undecided here too.
async fn accepted_by_parties(coordinator: &Coordinator, status: &SubmissionStatus) -> Option<Vec<Receipt>> {
    let survey = coordinator.survey(status.survey).await.ok()?;
    let deployment = coordinator.deployment(survey).await.ok()?;
    tercet_client::standing::accepted(coordinator.http(), &deployment, status.submission).await
}

pub async fn status(args: &Status) -> Result<(), Error> {
    let coordinator = connect(&args.connect)?;
    let mut status = coordinator.submission(args.id).await?;
    if status.state == SubmissionState::Pending
        && let Some(receipts) = accepted_by_parties(&coordinator, &status).await
    {
        status.state = SubmissionState::Accepted { receipts };
    } else if matches!(status.state, SubmissionState::Accepted { .. } | SubmissionState::Withdrawn { .. }) {
        let survey = coordinator.survey(status.survey).await?;
        let deployment = coordinator.deployment(survey).await?;
        match &status.state {
            SubmissionState::Accepted { receipts } => deployment.verify_receipts(args.id, receipts)?,
            SubmissionState::Withdrawn { receipts } => {
                tercet_client::withdraw::verify(&deployment, args.id, receipts)?;
            }
            SubmissionState::Pending | SubmissionState::Rejected { .. } => {}
        }
    }
    if args.json {
        return output::json(&status);
    }
    let state = match &status.state {
        SubmissionState::Pending => "pending: admitted or uploaded, not decided yet".to_owned(),
        SubmissionState::Accepted { receipts } => {
            let height = receipts.first().map_or(0, |r| r.height);
            match receipts.len() {
                3 => format!("accepted: three receipts verified, log height {height}"),
                _ => format!(
                    "accepted: the receipts of two parties verified, log height {height}; the third one gives none now"
                ),
            }
        }
        SubmissionState::Rejected { problem } => format!("rejected: {}", printable(&problem.to_string())),
        SubmissionState::Withdrawn { receipts } => {
            let height = receipts.first().map_or(0, |r| r.height);
            format!("withdrawn: three receipts of its erasure verified, log height {height}")
        }
    };
    output::text(&format!("{state}\nsubmission {}\nsurvey {}\n", status.submission, status.survey));
    Ok(())
}

pub async fn query(args: &Query) -> Result<(), Error> {
    args.shown.check()?;
    let coordinator = connect(&args.connect)?;
    let survey = choose(&coordinator, args.choose.survey).await?;
    let progress = Progress::spinner("the parties are computing");
    let options = QueryOptions { timeout: Duration::from_secs(args.timeout), ..QueryOptions::default() };
    let filter = args.conditions.iter().fold(Filter::default(), |f, c| f.or(&c.field, &c.value));
    let request = QueryRequest { statistics: args.statistics.clone(), filter };
    let file = tercet_client::query::ask(&coordinator, &survey, &request, options).await?;
    drop(progress);
    show_result(&file, &survey, &args.shown)
}

pub async fn published(args: &Published) -> Result<(), Error> {
    args.shown.check()?;
    let coordinator = connect(&args.connect)?;
    let survey = choose(&coordinator, args.choose.survey).await?;
    let file = tercet_client::query::published(&coordinator, &survey, args.release).await?;
    show_result(&file, &survey, &args.shown)
}

fn show_result(file: &ResultFile, survey: &SurveyDescriptor, shown: &Shown) -> Result<(), Error> {
    if let Some(path) = &shown.output {
        let json = serde_json::to_vec_pretty(file).map_err(|e| Error::Usage(e.to_string()))?;
        files::write(path, &json, Access::Public, shown.force)?;
    }
    match shown.format() {
        ResultFormat::Text => {}
        ResultFormat::Json => return output::json(file),
        ResultFormat::Csv => {
            output::text(&to_csv(&file.result)?);
            return Ok(());
        }
    }
    let text = to_text(&file.result, survey);
    output::text(&printable(&format!("{text}signatures of all three parties verified\n")));
    Ok(())
}
