//! `tercet notarize` through a notary that forwards, and `tercet take-part`.

use std::io::Read as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_client::session::{self, Credentials, Notarized, Shape, Target, from_curl, notaries};
use tercet_client::{Error, files};
use tercet_protocol::survey::SurveyDescriptor;
use zeroize::Zeroizing;

use super::args::{Given, Notarize, Submit, TakePart};
use super::choose::choose;
use super::network;
use super::output::{self, Progress};

/// Largest file with headers, inputs or a copied command.
const MAX_FILE: usize = 64 * 1024;

/// `tercet notarize` without an address: one session with the survey's server.
pub async fn notarize(args: &Notarize) -> Result<(), Error> {
    let options = HttpOptions { allow_http: args.allow_http, ..HttpOptions::default() };
    let url = args.coordinator.as_deref().ok_or_else(|| {
        Error::Usage("a session needs the survey's coordinator: give --coordinator URL".into())
    })?;
    check_folder(&args.out, args.force)?;
    let coordinator = Coordinator::new(url, options)?;
    let survey = choose(&coordinator, args.survey).await?;
    let notarized = run(&coordinator, &survey, &args.notary, &args.given).await?;
    notarized.write(&args.out)?;
    let address = notarized.evidence.statement.unchecked().address;
    let sizes = [notarized.evidence.client.len(), notarized.evidence.server.len()];
    if args.json {
        return output::json(&json!({
            "survey": survey.id(),
            "session": args.out.join(session::SESSION),
            "handshake_secret": args.out.join(session::SECRET),
            "server": { "name": survey.manifest().source.server_name, "address": address },
            "bytes": { "sent": sizes[0], "received": sizes[1] },
        }));
    }
    output::text(&format!(
        "session with {} at {address}: {} bytes sent, {} received\nwritten to {}\n\
         {} opens everything that was said: keep it to yourself\n",
        survey.manifest().source.server_name,
        sizes[0],
        sizes[1],
        args.out.display(),
        args.out.join(session::SECRET).display(),
    ));
    Ok(())
}

/// Runs the session: asks for the inputs that the survey's author declared, makes the request, and goes through the
/// notary.
pub async fn run(
    coordinator: &Coordinator,
    survey: &SurveyDescriptor,
    notary: &str,
    given: &Given,
) -> Result<Notarized, Error> {
    let notary = coordinator.http().base(notary)?;
    let keys = notaries(survey.manifest())?;
    let target = Target::of(survey)?;
    let credentials = credentials(survey, given)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let request = Shape::of(survey.manifest()).make(credentials, u64::try_from(now).unwrap_or(u64::MAX))?;
    let progress = Progress::spinner("talking to the server through the notary");
    let notarized =
        session::notarize(coordinator.http(), coordinator.url(), &notary, &keys, &target, &request.0).await;
    drop(progress);
    notarized
}

/// Headers, parameters and inputs, from files, standard input, or a prompt.
fn credentials(survey: &SurveyDescriptor, given: &Given) -> Result<Credentials, Error> {
    let source = &survey.manifest().source;
    let mut all = Credentials::default();
    for file in &given.header_file {
        all.headers.add(&file.display().to_string(), &read(file)?)?;
    }
    for name in &given.header_env {
        let text = std::env::var(name)
            .map_err(|_| Error::Usage(format!("the environment variable {name} is not set")))?;
        all.headers.add(name, &Zeroizing::new(text))?;
    }
    for param in &given.param {
        all.parameters.push((param.field.clone(), Zeroizing::new(param.value.clone())));
    }
    if let Some(file) = &given.from_curl {
        let rules = survey.manifest().source_rules()?;
        let made = |name: &str| source.request_headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
        let admits = |name: &str| {
            let lower = name.to_ascii_lowercase();
            !made(name) && (rules.other_headers.contains(&lower) || rules.credentials.contains(&lower))
        };
        let found = from_curl(&file.display().to_string(), &read(file)?, admits)?;
        if !found.dropped.is_empty() {
            output::note(&format!(
                "left out, since the survey does not admit them: {}",
                found.dropped.join(", ")
            ));
        }
        let templated = |name: &str| source.parameters.iter().any(|p| p.name == name);
        all.take_from(found, |name| rules.other_query.iter().any(|n| n == name) && !templated(name))?;
    }
    let mut answers = Vec::new();
    for file in &given.input_file {
        let text = read(file)?;
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let (name, value) = line.split_once('=').ok_or_else(|| {
                Error::Usage(format!("{}, line {}: write NAME=VALUE", file.display(), i + 1))
            })?;
            answers.push((name.trim().to_owned(), Zeroizing::new(value.trim().to_owned())));
        }
    }
    for (name, _) in &answers {
        if !source.inputs.iter().any(|input| input.name == *name) {
            return Err(Error::Usage(format!("the survey asks for no input \"{}\"", name.escape_debug())));
        }
    }
    for input in &source.inputs {
        let value = match answers.iter().find(|(name, _)| *name == input.name) {
            Some((_, value)) => value.clone(),
            None => output::ask(&input.label, input.secret).ok_or_else(|| {
                Error::Usage(format!(
                    "the survey asks for {} ({}): give it in a file, --input-file FILE with a line {}=VALUE",
                    input.name, input.label, input.name
                ))
            })?,
        };
        all.values.set(&input.name, value);
    }
    Ok(all)
}

/// A file's text, or standard input's (`-`).
fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    if path.as_os_str() != "-" {
        return files::read_text(path, MAX_FILE);
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE));
    let io = |source| Error::Io { what: "cannot read", path: "standard input".into(), source };
    std::io::stdin().take(MAX_FILE as u64).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// A folder that holds a session already is kept, unless it may be replaced.
fn check_folder(dir: &Path, force: bool) -> Result<(), Error> {
    for name in [session::SESSION, session::SECRET] {
        let path = dir.join(name);
        if path.exists() {
            files::check_output(&path, force)?;
        }
    }
    Ok(())
}

/// `tercet take-part`: one session, and its submission.
pub async fn take_part(args: &TakePart) -> Result<(), Error> {
    check_folder(&args.out, args.force)?;
    let coordinator = network::connect_patiently(&args.connect)?;
    let survey = choose(&coordinator, args.choose.survey).await?;
    let notarized = run(&coordinator, &survey, &args.notary, &args.given).await?;
    notarized.write(&args.out)?;
    drop(notarized);
    let submit = Submit {
        connect: args.connect.clone(),
        presentation: None,
        secrets: None,
        evidence: Some(args.out.clone()),
        choose: super::args::Choose { survey: Some(survey.id()) },
        receipt: args.receipt.clone(),
        force: args.force,
        yes: args.yes,
        dry_run: false,
        timeout: args.timeout,
        json: args.json,
    };
    network::submit_at(&submit, &coordinator, Some(survey)).await?;
    output::note(&format!(
        "{} holds what opens your session: delete it when you have the receipt",
        args.out.display()
    ));
    Ok(())
}
