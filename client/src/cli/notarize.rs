//! `tercet notarize`.

use std::io::Read;

use serde_json::json;
use tercet_client::coordinator::Coordinator;
use tercet_client::files;
use tercet_client::http::{Http, HttpOptions};
use tercet_client::notarize::{self as library, Headers, Plan};
use tercet_client::{Error, operator};
use tlsn_verifier::{HashAlg, WireVersion};
use zeroize::Zeroizing;

use super::args::{Format, Hash, Notarize};
use super::choose::choose;
use super::output::{self, Progress};

const MAX_HEADERS: usize = 64 * 1024;

pub async fn notarize(args: &Notarize) -> Result<(), Error> {
    let Some(url) = &args.url else { return super::session::notarize(args).await };
    let options = HttpOptions { allow_http: args.allow_http, ..HttpOptions::default() };
    let http = Http::new(options)?;
    let notary = http.base(&args.notary)?;
    for name in [library::PRESENTATION, library::SECRETS, library::ATTESTATION] {
        let path = args.out.join(name);
        if path.exists() {
            files::check_output(&path, args.force)?;
        }
    }
    let progress = Progress::spinner("reading the survey");
    let (survey, roots) = match (&args.survey_file, &args.coordinator) {
        (Some(file), _) => operator::read_survey(file)?,
        (None, Some(url)) => {
            let survey = choose(&Coordinator::new(url, options)?, args.survey).await?;
            (survey.manifest().clone(), survey.root_certificates()?)
        }
        (None, None) => return Err(Error::Usage("give --survey-file or --coordinator".into())),
    };
    let roots = if args.root.is_empty() {
        roots
    } else {
        let mut own = Vec::new();
        for file in &args.root {
            own.extend(tercet_client::certificates::read(file)?);
        }
        own
    };
    let plan = Plan {
        url: url.clone(),
        connect: args.connect.clone(),
        headers: headers(args)?,
        survey,
        roots,
        hash: match args.hash {
            Hash::Blake3 => HashAlg::Blake3,
            Hash::Sha256 => HashAlg::Sha256,
            Hash::Keccak256 => HashAlg::Keccak256,
        },
        format: match args.format {
            Format::Alpha12 => WireVersion::Alpha12,
            Format::Alpha15 => WireVersion::Alpha15,
        },
    };
    progress.message("fetching and notarizing".into());
    let notarized = library::notarize(&http, &notary, &plan).await?;
    drop(progress);
    notarized.write(&args.out, args.force)?;
    output::note(
        "WARNING: the local notary signs whatever it is told, with a key that anyone can read. What it made is for \
         trying out and tests: it is worthless as proof.",
    );
    notarized.warnings.iter().for_each(|warning| output::note(&format!("WARNING: {warning}")));
    if args.json {
        return output::json(&json!({
            "presentation": args.out.join(library::PRESENTATION),
            "secrets": args.out.join(library::SECRETS),
            "attestation": args.out.join(library::ATTESTATION),
            "notary_key": hex::encode(notarized.notary.to_sec1()),
        }));
    }
    output::text(&format!(
        "presentation, secrets and attestation are in {}\nnext: tercet submit --coordinator URL --presentation {} --secrets {}\n",
        args.out.display(),
        args.out.join(library::PRESENTATION).display(),
        args.out.join(library::SECRETS).display()
    ));
    Ok(())
}

/// Request headers from files, standard input and the environment.
fn headers(args: &Notarize) -> Result<Headers, Error> {
    let mut headers = Headers::default();
    for file in &args.given.header_file {
        if file.as_os_str() == "-" {
            let mut text = Zeroizing::new(String::with_capacity(MAX_HEADERS));
            std::io::stdin()
                .take(MAX_HEADERS as u64)
                .read_to_string(&mut text)
                .map_err(|source| Error::Io { what: "cannot read", path: "standard input".into(), source })?;
            if text.len() == MAX_HEADERS {
                return Err(Error::Usage(format!(
                    "standard input has more than the {MAX_HEADERS} bytes allowed"
                )));
            }
            headers.add("standard input", &text)?;
        } else {
            headers.add(&file.display().to_string(), &files::read_text(file, MAX_HEADERS)?)?;
        }
    }
    for name in &args.given.header_env {
        let text = std::env::var(name).map_err(|_| {
            Error::Usage(format!("the environment variable {name} is not set, or is not text"))
        })?;
        headers.add(&format!("the environment variable {name}"), &Zeroizing::new(text))?;
    }
    Ok(headers)
}
