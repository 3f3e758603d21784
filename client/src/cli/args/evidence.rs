//! Commands that get evidence from a survey's server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tercet_protocol::ids::SurveyId;

use super::{Choose, Condition, Connect};

/// Talk to a survey's server through its notary, and write the session to a folder.
///
/// Without an address: one TLS 1.3 session through a notary that forwards it and signs the bytes that passed. The
/// survey gives the request; the command asks for the inputs that the survey's author declared. tercet submit
/// --evidence takes the folder.
///
/// With an address: fetch a page over TLS 1.2 and have it notarized by the local notary (for trying out and tests).
/// The local notary signs what the prover tells it, with a key that anyone can read: its files have the right format
/// and are worthless as proof. For real notarization use a TLSNotary prover and a notary that surveys list. Request
/// headers that hold secrets are read from files, standard input or the environment, never from the command line;
/// their values stay hidden in the presentation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet notarize 'https://api.exchange.test/api/v3/account?omitZeroBalances=true' \\
      --notary http://127.0.0.1:7047 --coordinator http://127.0.0.1:8080 --out proof \\
      --connect 127.0.0.1:8443 --root root.pem --header-file key.txt
  echo \"Authorization: Bearer $TOKEN\" | tercet notarize https://… --header-file - …
  tercet notarize --notary https://notary.example.org --coordinator https://tercet.example.org --out session

Exit status: 0 done, 1 failed (the reason is named), 2 wrong usage.")]
#[command(group = clap::ArgGroup::new("rules").required(true).args(["survey_file", "coordinator"]))]
pub struct Notarize {
    /// The page, https only, for the local notary. Without it, the survey's page through a notary that forwards.
    pub url: Option<String>,
    /// Base address of the notary.
    #[arg(long, value_name = "URL")]
    pub notary: String,
    /// Folder for session.bin and handshake_secret.hex; with an address, for presentation.bin, secrets.bin and
    /// attestation.bin.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub given: Given,
    /// A certificate (PEM or DER) that may vouch for the server, instead of the survey's.
    #[arg(long, value_name = "CERT")]
    pub root: Vec<PathBuf>,
    /// The survey that says which values to hide, as a file.
    #[arg(long, value_name = "FILE")]
    pub survey_file: Option<PathBuf>,
    /// The survey that says which values to hide, from a coordinator.
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
    /// The survey's id, if it is from a coordinator: without it, the one that you chose there before.
    #[arg(long, value_name = "ID", requires = "coordinator")]
    pub survey: Option<SurveyId>,
    /// Replace files that exist.
    #[arg(long)]
    pub force: bool,
    /// Connect to this address instead of the one in the URL.
    #[arg(long, value_name = "HOST:PORT")]
    pub connect: Option<String>,
    /// Hash function of the commitments.
    #[arg(long, value_enum, default_value_t = Hash::Blake3)]
    pub hash: Hash,
    /// TLSNotary release whose format to write.
    #[arg(long, value_enum, default_value_t = Format::Alpha15)]
    pub format: Format,
    /// Allow plain http:// beyond loopback.
    #[arg(long)]
    pub allow_http: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The texts that a provider adds to the survey's request. Secrets come from files, standard input, the environment or
/// a prompt, never from the command line.
#[derive(Debug, Args)]
pub struct Given {
    /// A file with request headers, one "Name: value" a line; - is standard input. Their values are hidden.
    #[arg(long, value_name = "FILE")]
    pub header_file: Vec<PathBuf>,
    /// An environment variable with request headers, one "Name: value" a line. Their values are hidden.
    #[arg(long, value_name = "VARIABLE")]
    pub header_env: Vec<String>,
    /// A parameter of the request's path or query that is no secret. May be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<Condition>,
    /// A file with the survey's inputs, one NAME=VALUE a line; - is standard input. The command asks for missing
    /// ones.
    #[arg(long, value_name = "FILE")]
    pub input_file: Vec<PathBuf>,
    /// A file with a request that a browser copied as cURL (bash or cmd): its headers are taken, as far as the survey
    /// admits them; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub from_curl: Option<PathBuf>,
}

/// Take part in a survey in one step: talk to its server through its notary, then submit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tercet take-part --coordinator https://tercet.example.org --survey 5f0c…9a \\
      --notary https://notary.example.org

Exit status: 0 accepted, 1 refused or not confirmed (the reason is named), 2 wrong usage.")]
pub struct TakePart {
    #[command(flatten)]
    pub connect: Connect,
    #[command(flatten)]
    pub choose: Choose,
    /// Base address of the notary.
    #[arg(long, value_name = "URL", env = "TERCET_NOTARY", hide_env_values = true)]
    pub notary: String,
    #[command(flatten)]
    pub given: Given,
    /// Folder for the session.
    #[arg(long, value_name = "DIR", default_value = "tercet-session")]
    pub out: PathBuf,
    /// Where to keep the three receipts; by default tercet-receipt-ID.json here.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    pub force: bool,
    /// Do not ask: you know what the survey publishes and agree.
    #[arg(long)]
    pub yes: bool,
    /// Seconds to wait for the parties' decision.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Hash functions of commitments.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Hash {
    /// The quickest to prove.
    Blake3,
    /// SHA-256.
    Sha256,
    /// Keccak-256, as Ethereum uses it.
    Keccak256,
}

/// Formats of presentations.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// 0.1.0-alpha.12.
    Alpha12,
    /// 0.1.0-alpha.14 and alpha.15.
    Alpha15,
}
