//! Commands of survey owners, and of the operators of parties and coordinators.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tercet_protocol::ids::{EngineDigest, PublicKey, SurveyId};

/// `tercet survey …`
#[derive(Debug, Subcommand)]
pub enum Survey {
    /// Check a survey file (TOML) or an assembled survey (JSON) and say what it means.
    #[command(after_help = "Examples:\n  tercet survey check survey.toml")]
    Check {
        /// The file.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Draft a survey from a HAR file that a browser saved.
    ///
    /// Takes server, method, path, parameters and names of credentials from the exchange, lists what may be identity and
    /// columns, and prints the draft. No secret is written. What begins with #? needs a decision.
    #[command(after_help = "Examples:
  tercet survey new --from-har api.example.com.har --url /v1/account > survey.toml")]
    New {
        /// The HAR file, saved with contents.
        #[arg(long, value_name = "FILE")]
        from_har: PathBuf,
        /// A part of the address of the exchange to take.
        #[arg(long, value_name = "PART")]
        url: Option<String>,
    },
    /// Try a survey on an exchange that a browser or curl saved, before anything is notarized.
    ///
    /// Says what would be read, hidden, shown and refused, and by which rule. Brackets ⟦ and ⟧ around bytes mean: the
    /// provider hides exactly these. Without any, what is hidden is what tercet notarize would hide.
    #[command(after_help = "Examples:
  curl --http1.1 -si https://api.example.com/v1/account -H @headers.txt > response.http
  tercet survey try survey.toml --request request.http --response response.http --json

Exit status: 0 admitted, 1 refused (the rule is named), 2 wrong usage or unreadable file.")]
    Try {
        /// The survey file.
        file: PathBuf,
        /// The request as it was sent. Without it: the one that the survey asks for.
        #[arg(long, value_name = "FILE")]
        request: Option<PathBuf>,
        /// The response as it came.
        #[arg(long, value_name = "FILE")]
        response: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Assemble a survey from the owner's file and three operators' manifests.
    ///
    /// The order of the manifests is the party order. Root certificates (PEM or DER) are read relative to the
    /// survey file. Prints the survey's id, which every operator approves.
    #[command(after_help = "Examples:
  tercet survey assemble --survey-file survey.toml --engine 9f86…08 --out survey.json \\
      --operator a.json --operator b.json --operator c.json")]
    Assemble {
        /// The owner's survey file.
        #[arg(long, value_name = "FILE")]
        survey_file: PathBuf,
        /// A manifest published by an operator; exactly three, in party order.
        #[arg(long = "operator", value_name = "FILE", required = true)]
        operators: Vec<PathBuf>,
        /// The engine's digest (SHA-256 of its component file); all three operators must run it.
        #[arg(long, value_name = "DIGEST")]
        engine: EngineDigest,
        /// Where to write the survey.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace that file if it exists.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Approve an assembled survey, so that your party runs it.
    ///
    /// Read it first (tercet survey check) and compare its id with the other operators, by another way than the file
    /// came. Refused if the file is another survey, does not name your party, or pins another engine.
    #[command(after_help = "Examples:
  tercet survey approve survey.json --id 5f0c…9a --dir party --surveys deployment/surveys")]
    Approve {
        /// The assembled survey.
        file: PathBuf,
        /// The id that the operators agreed on.
        #[arg(long, value_name = "ID")]
        id: SurveyId,
        /// The folder with the party's keys.
        #[arg(long)]
        dir: PathBuf,
        /// The party's folder of approved surveys.
        #[arg(long, value_name = "DIR")]
        surveys: PathBuf,
    },
}

/// `tercet coordinator …`
#[derive(Debug, Subcommand)]
pub enum CoordinatorTool {
    /// Make the key that signs tickets, and print its public half.
    #[command(after_help = "Examples:\n  tercet coordinator init --dir coordinator")]
    Init {
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Replace the key, and print the new one's public half.
    ///
    /// Makes the next key, for the federation's --coordinator-next-key. When all parties run with that federation,
    /// --finish puts it in the old one's place; parties accept tickets of both in between.
    #[command(after_help = "Examples:
  tercet coordinator rotate --dir coordinator
  tercet coordinator rotate --dir coordinator --finish")]
    Rotate {
        /// The folder that tercet coordinator init made.
        #[arg(long)]
        dir: PathBuf,
        /// End the overlap: only the new key stays.
        #[arg(long)]
        finish: bool,
    },
    /// Put the key into AWS Secrets Manager.
    ///
    /// The secret must exist: Terraform makes it empty. One that holds another key is left alone.
    #[command(after_help = "Examples:
  terraform output -json secret_arns > secrets.json
  tercet coordinator store --dir coordinator --secrets secrets.json")]
    Store(Store),
}

/// `tercet federation …`
#[derive(Debug, Subcommand)]
pub enum FederationTool {
    /// Make the federation's file, with which coordinator and parties run.
    ///
    /// Checks the operators' signatures and that they are three different ones in different accounts.
    #[command(after_help = "Examples:
  tercet federation assemble --coordinator-url https://tercet.example.org --coordinator-key 5f0c…9a \\
      --operator a.json --operator b.json --operator c.json --out federation.json")]
    Assemble {
        /// Base address of the coordinator.
        #[arg(long, value_name = "URL")]
        coordinator_url: String,
        /// The coordinator's public key, as tercet coordinator init printed it.
        #[arg(long, value_name = "KEY")]
        coordinator_key: PublicKey,
        /// The key that will replace it, while it is being changed: tercet coordinator rotate prints it.
        #[arg(long, value_name = "KEY")]
        coordinator_next_key: Option<PublicKey>,
        /// A manifest published by an operator; exactly three.
        #[arg(long = "operator", value_name = "FILE", required = true)]
        operators: Vec<PathBuf>,
        /// Where to write the federation.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace that file if it exists.
        #[arg(long)]
        force: bool,
    },
}

/// Which keys go where.
#[derive(Debug, Args)]
pub struct Store {
    /// The folder with the keys.
    #[arg(long)]
    pub dir: PathBuf,
    /// The secrets: what `terraform output -json secret_arns` prints.
    #[arg(long, value_name = "FILE")]
    pub secrets: PathBuf,
    /// AWS region; otherwise the SDK's usual places are asked.
    #[arg(long)]
    pub region: Option<String>,
    /// Replace secrets that hold another key.
    #[arg(long)]
    pub replace: bool,
}

/// `tercet operator doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The folder that tercet operator init made.
    #[arg(long)]
    pub dir: PathBuf,
    /// The federation that the party runs with.
    #[arg(long, value_name = "FILE")]
    pub federation: PathBuf,
    /// The deployment on AWS: what terraform output -json doctor prints.
    #[arg(long, value_name = "FILE")]
    pub deployment: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A key that can be replaced.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Rotated {
    /// The key that providers seal private parts to. The old one is kept for an overlap.
    Sealing,
    /// The peer link's TLS key. Peers accept the next one beside it until the rotation is finished.
    Peer,
}

/// `tercet operator …`
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Make an operator's keys and settings in a folder.
    ///
    /// Writes identity.key, sealing.key and peer.key (readable by you only) and operator.json. Existing files are
    /// never replaced. Back up the keys: a lost identity key cannot be replaced in a running survey.
    #[command(after_help = "Examples:
  tercet operator init --dir party --operator 'Example University' --account 123456789012 \\
      --url https://party.example.edu --peer-address party.example.edu:7443 --engine engine.wasm")]
    Init {
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
        /// The operator's name.
        #[arg(long, value_name = "NAME")]
        operator: String,
        /// The AWS account, or another label of who controls the machine.
        #[arg(long, value_name = "ID")]
        account: String,
        /// Base address of the party's public API.
        #[arg(long)]
        url: String,
        /// Address of the peer link.
        #[arg(long, value_name = "HOST:PORT")]
        peer_address: String,
        /// The engine's component file, whose digest the party will publish.
        #[arg(long, value_name = "FILE.wasm")]
        engine: PathBuf,
    },
    /// Look whether the party's deployment is as it has to be, and say what mends it.
    ///
    /// Changes nothing. Asks the network (names, certificate, ports, readiness, clock, the published manifest) and, with --deployment, AWS
    /// (policies, encryption, versions, keys, secrets, backups, alarms, certificate, the running image). Run it where no peer's address is
    /// yours, with credentials that may read the operator's account.
    #[command(after_help = "Examples:
  terraform output -json doctor > deployment.json
  tercet operator doctor --dir party --federation federation.json --deployment deployment.json

Exit status: 0 nothing differs, 1 something differs, 2 wrong usage or unreadable file.")]
    Doctor(Doctor),
    /// Put the keys into AWS Secrets Manager.
    ///
    /// The secrets must exist: Terraform makes them empty. One that holds another key is left alone. Afterwards the
    /// key files can go to a safe place.
    #[command(after_help = "Examples:
  terraform output -json secret_arns > secrets.json
  tercet operator store --dir party --secrets secrets.json")]
    Store(Store),
    /// Replace a key. The identity key cannot be replaced: surveys pin it.
    ///
    /// Two steps with an overlap between them, in which both keys work. Publish the manifest again after each.
    #[command(after_help = "Examples:
  tercet operator rotate --dir party --key peer
  tercet operator rotate --dir party --key peer --finish")]
    Rotate {
        /// The folder that tercet operator init made.
        #[arg(long)]
        dir: PathBuf,
        /// Which key.
        #[arg(long, value_enum)]
        key: Rotated,
        /// End the overlap: only the new key stays.
        #[arg(long)]
        finish: bool,
    },
    /// Print the operator's signed manifest, to be given to survey owners and the coordinator.
    #[command(after_help = "Examples:\n  tercet operator publish --dir party > manifest.json")]
    Publish {
        /// The folder that tercet operator init made.
        #[arg(long)]
        dir: PathBuf,
    },
}
