//! From the command line to the library and back to the terminal.

mod args;
mod choose;
mod local;
mod network;
mod notarize;
mod operators;
mod output;
mod session;
mod surveys;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tercet_client::Error;

use args::{Cli, Command, Operator, Survey};

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    let json = wants_json(&cli.command);
    let inspecting = matches!(cli.command, Command::Inspect(_));
    let recorded = matches!(&cli.command, Command::Inspect(a) if a.recorded.is_some());
    match run(cli.command) {
        Ok(code) if output::complete() => code,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // The findings about a recorded session hold the reason already.
            let told = matches!(error, Error::Session(_) | Error::Recording(_));
            let json = json && !(inspecting && recorded && told);
            output::error(&error, json, inspecting);
            ExitCode::from(error.exit_status())
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Inspect(args) => local::inspect(&args),
        Command::VerifyResult(args) => local::verify_result(&args),
        Command::Survey(Survey::Try { file, request, response, json }) => {
            return surveys::attempt(&file, request.as_deref(), &response, json);
        }
        Command::Survey(args) => local::survey(&args),
        Command::Operator(Operator::Doctor(args)) => {
            let healthy = wait(operators::doctor(&args))?;
            return Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Operator(args) => wait(operators::operator(&args)),
        Command::Coordinator(args) => wait(operators::coordinator(&args)),
        Command::Federation(args) => operators::federation(&args),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "tercet", &mut script);
            output::text(&String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Submit(args) => wait(network::submit(&args)),
        Command::Status(args) => wait(network::status(&args)),
        Command::Withdraw(args) => wait(network::withdraw(&args)),
        Command::Release(args) => wait(network::release(&args)),
        Command::Query(args) => wait(network::query(&args)),
        Command::Published(args) => wait(network::published(&args)),
        Command::Notarize(args) => wait(notarize::notarize(&args)),
        Command::TakePart(args) => wait(session::take_part(&args)),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Runs a command that talks to the network. Two cores' worth of proving must not hold up the uploads.
fn wait<T>(command: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Io { what: "cannot start", path: "the network runtime".into(), source })?;
    runtime.block_on(async {
        tokio::select! {
            done = command => done,
            _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        }
    })
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "tercet=info,tercet_client=info",
        _ => "tercet=debug,tercet_client=debug,reqwest=debug",
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(level).init();
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Inspect(a) => a.json,
        Command::Submit(a) => a.json,
        Command::Status(a) => a.json,
        Command::Withdraw(a) => a.json,
        Command::Release(a) => a.json,
        Command::Query(a) => a.shown.format() == args::ResultFormat::Json,
        Command::Published(a) => a.shown.format() == args::ResultFormat::Json,
        Command::VerifyResult(a) => a.json,
        Command::Notarize(a) => a.json,
        Command::TakePart(a) => a.json,
        Command::Survey(
            Survey::Check { json, .. } | Survey::Assemble { json, .. } | Survey::Try { json, .. },
        ) => *json,
        Command::Operator(Operator::Doctor(a)) => a.json,
        Command::Survey(Survey::Approve { .. } | Survey::New { .. })
        | Command::Operator(_)
        | Command::Coordinator(_)
        | Command::Federation(_)
        | Command::Completions(_) => false,
    }
}
