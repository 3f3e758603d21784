//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tercet_protocol::ids::{SubmissionId, SurveyId};

mod evidence;
mod operators;

pub use evidence::{Format, Given, Hash, Notarize, TakePart};
pub use operators::{CoordinatorTool, Doctor, FederationTool, Operator, Rotated, Store, Survey};

/// Private statistics over web data that is proven authentic.
///
/// Providers submit values proven with TLSNotary; three independent parties compute on secret shares; consumers
/// get statistics that all three signed.
#[derive(Debug, Parser)]
#[command(name = "tercet", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 done, 1 refused or failed (the reason is named), 2 wrong usage.
Surveys that you choose are remembered in $TERCET_CONFIG_DIR, by default ~/.config/tercet.")]
pub struct Cli {
    /// The task.
    #[command(subcommand)]
    pub command: Command,
    /// Log progress to stderr; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Inspect(Inspect),
    Submit(Submit),
    Status(Status),
    Withdraw(Withdraw),
    Query(Query),
    Published(Published),
    Release(Release),
    VerifyResult(VerifyResult),
    Notarize(Box<Notarize>),
    TakePart(Box<TakePart>),
    /// Work with survey files.
    #[command(subcommand)]
    Survey(Survey),
    /// Tools for the operator of a party.
    #[command(subcommand)]
    Operator(Operator),
    /// Tools for the operator of the coordinator.
    #[command(subcommand)]
    Coordinator(CoordinatorTool),
    /// Put coordinator and operators together.
    #[command(subcommand)]
    Federation(FederationTool),
    Completions(Completions),
}

/// The address of a deployment, and the way to it.
#[derive(Debug, Clone, Args)]
pub struct Connect {
    /// Base address of the coordinator.
    #[arg(long, value_name = "URL", env = "TERCET_COORDINATOR", hide_env_values = true)]
    pub coordinator: String,
    /// Allow plain http:// beyond loopback. Anyone on the way can then read presentations and answer in the
    /// server's place.
    #[arg(long)]
    pub allow_http: bool,
}

/// Which survey is meant.
#[derive(Debug, Args)]
pub struct Choose {
    /// The survey's id. Without it, the survey that you chose at this coordinator before; the first time, its surveys
    /// are shown and you are asked. No coordinator chooses for you.
    #[arg(long, value_name = "ID", env = "TERCET_SURVEY", hide_env_values = true)]
    pub survey: Option<SurveyId>,
}

/// Verify a TLSNotary presentation or a TLS 1.3 session and show what it proves.
///
/// Reads presentations of TLSNotary 0.1.0-alpha.12 and of alpha.14 and alpha.15, telling them apart by itself.
/// Everything upstream's verifier rejects is refused, and so is what it lets pass but an honest prover never
/// makes. Without --notary any notary key is accepted, which proves nothing by itself: the output says so.
///
/// For a session that tercet notarize wrote, it shows the part that each reader sees; with the survey, and the
/// handshake secret in the session's folder, also the exchange as coordinator and parties would see it.
///
/// With --recorded, the folder holds a TLS 1.3 session as bytes (client_to_server.bin, server_to_client.bin) and
/// its handshake traffic secrets (public.json). Everything is checked that can be checked without a notary's
/// statement; the handshake secret also opens the application records.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet inspect presentation.bin --notary 035be5…c42c
  tercet inspect presentation.bin --notary secp256r1:041e0a…1f40 --root root.der --json
  tercet inspect session --survey-file survey.json
  tercet inspect --recorded recording --root root.der --server-name api.exchange.test --json

Exit status: 0 valid, 1 refused (the reason is named), 2 wrong usage or unreadable file.")]
pub struct Inspect {
    /// The presentation file, or the folder or session.bin of a session.
    #[arg(required_unless_present = "recorded", value_name = "FILE|DIR")]
    pub presentation: Option<PathBuf>,
    /// A folder with a recorded TLS 1.3 session.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["presentation", "notary"], requires = "server_name")]
    pub recorded: Option<PathBuf>,
    /// The name of the recorded session's server.
    #[arg(long, value_name = "NAME", requires = "recorded")]
    pub server_name: Option<String>,
    /// A file with the session's handshake secret, in hexadecimal. A session's folder holds it.
    #[arg(long, value_name = "FILE")]
    pub handshake_secret: Option<PathBuf>,
    /// The assembled survey (JSON) that a session was made for.
    #[arg(long, value_name = "FILE", conflicts_with = "recorded")]
    pub survey_file: Option<PathBuf>,
    /// A trusted notary's public key in hexadecimal, optionally with its algorithm in front (secp256k1:, secp256r1:,
    /// secp256k1eth: in SEC1, ed25519: of notaries that forward sessions). May be given several times.
    #[arg(long, value_name = "KEYHEX")]
    pub notary: Vec<String>,
    /// A certificate (PEM or DER) that may vouch for servers, instead of Mozilla's. May be given several times.
    #[arg(long, value_name = "CERT")]
    pub root: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Submit a notarized value to a survey.
///
/// Checks the presentation against the survey's rules, shows what the survey publishes and asks. Then it proves the
/// hidden value without showing it, splits it into three shares sealed to one party each, uploads them and waits for
/// three signed receipts. They are kept in a file with the key that withdraws the submission again. Sending the same
/// files again is safe at any time: it stays the same submission.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet submit --coordinator https://tercet.example.org --survey 5f0c…9a \\
      --presentation p.bin --secrets s.bin
  tercet submit --coordinator http://127.0.0.1:8080 --survey 5f0c…9a \\
      --presentation p.bin --secrets s.bin --receipt receipt.json --yes
  tercet submit --coordinator https://tercet.example.org --survey 5f0c…9a --evidence session

Exit status: 0 accepted, 1 refused or not confirmed (the reason is named), 2 wrong usage.")]
pub struct Submit {
    #[command(flatten)]
    pub connect: Connect,
    /// The presentation file.
    #[arg(long, value_name = "FILE", required_unless_present = "evidence", requires = "secrets")]
    pub presentation: Option<PathBuf>,
    /// The prover's secrets file, which belongs to the presentation. It never leaves this machine.
    #[arg(long, value_name = "FILE", requires = "presentation")]
    pub secrets: Option<PathBuf>,
    /// A folder with a session that tercet notarize made through a notary that forwards.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["presentation", "secrets"])]
    pub evidence: Option<PathBuf>,
    #[command(flatten)]
    pub choose: Choose,
    /// Where to keep the three receipts and the key that withdraws the submission; by default
    /// tercet-receipt-ID.json here. Readable by you only.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Replace the receipt's file if it exists.
    #[arg(long)]
    pub force: bool,
    /// Do not ask: you know what the survey publishes and agree.
    #[arg(long)]
    pub yes: bool,
    /// Check the files and show what the survey publishes, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Seconds to wait for the parties' decision.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Show where a submission stands.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet status 3b1f…77 --coordinator https://tercet.example.org

Exit status: 0 for any state (pending, accepted, rejected, withdrawn), 1 unknown or not verifiable, 2 wrong usage.")]
pub struct Status {
    /// The submission's id, as tercet submit printed it.
    pub id: SubmissionId,
    #[command(flatten)]
    pub connect: Connect,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Leave a survey: have your submission erased.
///
/// The receipt's key signs the wish, and the three parties agree on erasing your shares. If you were counted already,
/// the sums of the group in which you entered stay as they are; nothing is computed from your value again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet withdraw --receipt receipt.json
  tercet withdraw --receipt receipt.json --yes --output erased.json

Exit status: 0 erased at all three parties, 1 not (the reason is named), 2 wrong usage.")]
pub struct Withdraw {
    /// The receipt file that tercet submit wrote.
    #[arg(long, value_name = "FILE")]
    pub receipt: PathBuf,
    /// Base address of the coordinator, if it has moved since: the receipt names the one it went to.
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
    /// Allow plain http:// beyond loopback.
    #[arg(long)]
    pub allow_http: bool,
    /// Write what the parties signed about the erasure to a file.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace that file if it exists.
    #[arg(long)]
    pub force: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Seconds to wait for the parties.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Make a release point now, in a development deployment.
///
/// Parties of a deployment in use make release points when the survey's schedule says so, and refuse this; cargo xtask
/// up runs them with their development switch.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet release --coordinator http://127.0.0.1:8080 --survey 5f0c…9a --wait

Exit status: 0 made, or nothing would have entered, 1 refused or failed (the reason is named), 2 wrong usage.")]
pub struct Release {
    #[command(flatten)]
    pub connect: Connect,
    #[command(flatten)]
    pub choose: Choose,
    /// Wait until the new point's statistics are published.
    #[arg(long)]
    pub wait: bool,
    /// Seconds to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Ask for statistics.
///
/// The survey's own list was computed at its newest release point, and is shown as it was published. Other questions,
/// such as sums of those whose revealed field has a value, are computed by the three parties on their shares. They sign
/// one result; the signatures are verified against the keys that the survey pins.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet query --coordinator https://tercet.example.org --survey 5f0c…9a
  tercet query --coordinator https://tercet.example.org --survey 5f0c…9a \\
      --statistic mean --statistic stddev --output result.json
  tercet query --coordinator https://tercet.example.org --survey 5f0c…9a \\
      --statistic mean --where country=DE --format csv

Exit status: 0 released, 1 refused or failed (the reason is named), 2 wrong usage.")]
pub struct Query {
    #[command(flatten)]
    pub connect: Connect,
    #[command(flatten)]
    pub choose: Choose,
    /// A statistic to ask for, such as mean, sum(column) or mean(column)@field; without any, all that the survey lists
    /// with their parameters.
    #[arg(long = "statistic", value_name = "NAME")]
    pub statistics: Vec<String>,
    /// Only submissions whose revealed field has this value. May be given several times: values of one field are
    /// alternatives, fields must all agree.
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub conditions: Vec<Condition>,
    /// Seconds to wait for the parties.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    #[command(flatten)]
    pub shown: Shown,
}

/// One condition of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field.
    pub field: String,
    /// The value.
    pub value: String,
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() && !value.is_empty() => {
                Ok(Self { field: field.into(), value: value.into() })
            }
            _ => Err("write FIELD=VALUE, such as country=DE"),
        }
    }
}

/// The form in which a result is shown and kept.
#[derive(Debug, Args)]
pub struct Shown {
    /// Write the signed result to a file that tercet verify-result checks offline.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace that file if it exists.
    #[arg(long)]
    pub force: bool,
    /// The form of the result: a table with charts, the signed result as one JSON object, or CSV.
    #[arg(long, value_enum, default_value_t = ResultFormat::Text)]
    pub format: ResultFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

impl Shown {
    /// Checks that the file can be written, before anything is asked.
    pub fn check(&self) -> Result<(), tercet_client::Error> {
        match &self.output {
            Some(path) => tercet_client::files::check_output(path, self.force),
            None => Ok(()),
        }
    }

    /// The format asked for.
    pub fn format(&self) -> ResultFormat {
        if self.json { ResultFormat::Json } else { self.format }
    }
}

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// A table with charts.
    Text,
    /// The signed result.
    Json,
    /// One row for each number.
    Csv,
}

/// Show the statistics published at a release point, without asking the parties to compute.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet published --coordinator https://tercet.example.org --survey 5f0c…9a
  tercet published --coordinator https://tercet.example.org --survey 5f0c…9a --release 12

Exit status: 0 shown and verified, 1 nothing published or not verifiable, 2 wrong usage.")]
pub struct Published {
    #[command(flatten)]
    pub connect: Connect,
    #[command(flatten)]
    pub choose: Choose,
    /// The release point's number; without it, the newest.
    #[arg(long, value_name = "NUMBER")]
    pub release: Option<u64>,
    #[command(flatten)]
    pub shown: Shown,
}

/// Verify a result file offline: three signatures, by the parties that the survey pins.
///
/// Takes files of tercet query, and the coordinator's own answers. The survey's id is the hash of its descriptor, which
/// a file of tercet query carries. Give --survey with an id from a source you trust, or the survey's descriptor, unless
/// you have chosen this survey here before: a file that names its own keys proves nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet verify-result result.json --survey 5f0c…9a
  tercet verify-result result.json --descriptor survey.json --json

Exit status: 0 verified, 1 not, 2 wrong usage.")]
pub struct VerifyResult {
    /// The file, as written by tercet query --output or --json, or as the coordinator's API answered.
    pub file: PathBuf,
    /// The survey that the result must be about.
    #[arg(long, value_name = "ID", env = "TERCET_SURVEY", hide_env_values = true)]
    pub survey: Option<SurveyId>,
    /// Use this survey descriptor instead of the one in the file.
    #[arg(long, value_name = "FILE")]
    pub descriptor: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tercet completions bash > ~/.local/share/bash-completion/completions/tercet"
)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}
