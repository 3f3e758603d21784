//! The commands that need the workspace's crates, and their options. The launcher carries them out: this crate only parses
//! them, so that `cargo xtask --help` needs none of those crates.

use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::command::target_dir;

/// A command of the launcher.
#[derive(clap::Subcommand)]
pub enum Launched {
    /// Runs the whole system once, with honest and dishonest providers, and checks what comes out.
    Demo(Demo),
    /// Starts the whole system and leaves it running until Ctrl-C.
    Up(Up),
    /// Rehearses a lost bucket, an old one, or parties that are killed, on a local system.
    Drill(Drill),
    /// Packs the coordinator for Lambda, reproducibly.
    Package(Package),
    /// Makes the party host's container image, reproducibly and without a container engine.
    Container(Container),
    /// Runs the cloud on this machine: LocalStack without Docker.
    #[command(subcommand)]
    Localstack(Localstack),
}

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Demo {
    /// Honest providers, 10 or more: nobody enters in a smaller group.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(10..=5000))]
    pub providers: u32,
    /// Print the outcome as one JSON object, as the last line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `cargo xtask up`.
#[derive(clap::Args)]
pub struct Up {
    /// The survey's file; without it, a survey about the sample exchange.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Where everything is kept; the same folder continues where it stopped. By default a folder of its own for
    /// each survey file, under `.tercet`.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Accounts at the sample exchange.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub accounts: u32,
    /// Milliseconds of round-trip time to pretend between the parties.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub rtt_ms: u64,
    /// A server of your own: the notary that forwards sessions connects to this loopback address when a survey's server
    /// has this name. May be given several times.
    #[arg(long, value_name = "NAME=ADDRESS:PORT")]
    pub resolve: Vec<String>,
    /// Make a release point every so many seconds, if anybody enters. Without it, when the survey's schedule says so, and
    /// when `tercet release` asks for one.
    #[arg(long, value_name = "SECONDS")]
    pub release_every: Option<NonZeroU64>,
}

/// The accidents that `cargo xtask drill` rehearses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Loss {
    /// A party's bucket is gone.
    Lost,
    /// A party's bucket is set back to an older state.
    Old,
    /// Each party in turn is killed while people take part.
    Crash,
    /// A party moves to the configuration that the Helm chart renders for it.
    Chart,
}

/// Options of `cargo xtask drill`.
#[derive(clap::Args)]
pub struct Drill {
    /// The accident.
    pub kind: Loss,
}

/// Options of `cargo xtask package`.
#[derive(clap::Args)]
pub struct Package {
    /// The processors that Lambda runs it on, a zip for each: may be given twice.
    #[arg(long, value_enum, default_values_t = [Arch::Arm64])]
    pub arch: Vec<Arch>,
    /// Where to put the zips, each with a JSON file about it; by default `lambda-packages` in the target folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Build the commit a second time, from another folder into another target folder, and compare.
    #[arg(long)]
    pub check: bool,
    /// Print one JSON object for each.
    #[arg(long)]
    pub json: bool,
}

/// Processors that Lambda has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arch {
    /// Graviton: cheaper for the same work.
    #[value(name = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86_64,
}

impl Arch {
    /// This machine's.
    pub fn here() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("Lambda has no processor like this machine's ({other})"),
        }
    }

    /// Lambda's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// Rust's name of its target.
    pub fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }
}

/// Options of `cargo xtask container`.
#[derive(clap::Args)]
pub struct Container {
    /// The processor; by default this machine's.
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// Where to put the archive; by default `containers` in the target folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Build the committed program a second time, from another folder into another target folder, and compare.
    #[arg(long)]
    pub check: bool,
    /// Run three parties from the image, as a container engine would, with bubblewrap.
    #[arg(long = "try")]
    pub trial: bool,
}

/// The tasks of `cargo xtask localstack`.
#[derive(clap::Subcommand)]
pub enum Localstack {
    /// Starts LocalStack in the background.
    Up(Place),
    /// Stops it.
    Down(Place),
    /// Deploys everything with Terraform, uses it, checks it and destroys it, on a LocalStack of its own.
    E2e(E2e),
}

/// Where a LocalStack listens and keeps its state.
#[derive(clap::Args)]
pub struct Place {
    /// Port on loopback.
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// Where it keeps its state; by default `localstack` in the target folder.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

impl Place {
    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| target_dir().join("localstack"))
    }

    /// The file that names its process.
    pub fn pid_file(&self) -> PathBuf {
        self.folder().join(format!("{}.pid", self.port))
    }
}

/// Options of `cargo xtask localstack e2e`.
#[derive(clap::Args)]
pub struct E2e {
    /// Keeps LocalStack, its data and the logs in this folder, for a look at a failure.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}
