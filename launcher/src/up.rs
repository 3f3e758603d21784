//! `cargo xtask up`: the whole system, left running.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_protocol::ids::{SurveyId, sha256};
use tercet_stack::Stack;
use xtask::command::{programs, root};
use xtask::engine;
use xtask::launched::Up;

/// The options of a system of the built programs and engine, with this data folder.
pub fn system(
    data_dir: PathBuf,
    survey: Option<PathBuf>,
    accounts: u32,
    rtt_ms: u64,
) -> Result<tercet_stack::Options> {
    let engine = engine::built()?.path;
    let survey =
        survey.map(|s| std::path::absolute(&s).with_context(|| s.display().to_string())).transpose()?;
    let programs = programs("dev");
    Ok(tercet_stack::Options { data_dir, programs, engine, survey, accounts, rtt_ms, resolve: Vec::new() })
}

/// A folder for one survey file: two surveys in one folder would be one coordinator's, and clients had to choose.
fn default_data_dir(manifest: Option<&Path>) -> Result<PathBuf> {
    let base = root().join(".tercet");
    let Some(path) = manifest else { return Ok(base.join("sample")) };
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let digest = SurveyId(sha256(&[&bytes])).to_string();
    Ok(base.join(&digest[..16]))
}

/// Wishes for a release point again and again. That nothing enters is no failure.
async fn release_every(url: String, survey: SurveyId, every: Duration) {
    let coordinator = match Coordinator::new(&url, HttpOptions::default()) {
        Ok(coordinator) => coordinator,
        Err(e) => return eprintln!("no release points: {e}"),
    };
    loop {
        tokio::time::sleep(every).await;
        match coordinator.release_now(survey).await {
            Ok(now) if now.made => eprintln!("release point {}", now.release),
            Ok(_) => {}
            Err(e) => eprintln!("no release point: {e}"),
        }
    }
}

/// Runs until Ctrl-C.
pub fn run(options: &Up) -> Result<()> {
    let manifest = options.manifest.clone();
    let data_dir = match &options.data_dir {
        Some(dir) => dir.clone(),
        None => default_data_dir(options.manifest.as_deref())?,
    };
    let mut stack = system(data_dir, manifest, options.accounts, options.rtt_ms)?;
    stack.resolve.clone_from(&options.resolve);
    let programs = stack.programs.clone();
    let mut stack = Stack::start(stack, &mut |name| eprintln!("starting {name}"))?;

    let url = stack.coordinator();
    let survey = stack.survey();
    let tercet = programs.join("tercet");
    println!("coordinator {url}");
    println!("survey {survey}");
    println!("notary {}", stack.proxy());
    println!("\nTry:");
    println!("  curl {url}/v1/surveys");
    println!("  curl {url}/v1/surveys/{survey}/statistics");
    if options.manifest.is_none() {
        let layout = stack.layout();
        println!(
            "  jq -r '\"X-MBX-APIKEY: \" + .[0].api_key' {} > header.txt",
            layout.exchange().join("accounts.json").display()
        );
        println!(
            "  {} notarize 'https://api.exchange.test/api/v3/account?omitZeroBalances=true' --connect {} --notary {} \
             --coordinator {url} --survey {survey} --root {} --header-file header.txt --out proof",
            tercet.display(),
            stack.exchange(),
            stack.notary(),
            layout.exchange().join("root.pem").display()
        );
    }
    if options.manifest.is_none() {
        let accounts = stack.layout().exchange().join("accounts.json");
        println!(
            "  jq -r '\"api_key=\" + .[1].api_key, \"api_secret=\" + .[1].api_secret' {} > inputs.txt",
            accounts.display()
        );
    }
    println!(
        "  {} take-part --coordinator {url} --survey {survey} --notary {} --input-file inputs.txt",
        tercet.display(),
        stack.proxy()
    );
    println!(
        "  {} submit --coordinator {url} --survey {survey} --presentation proof/presentation.bin --secrets \
         proof/secrets.bin --receipt receipt.json",
        tercet.display()
    );
    println!("  {} release --coordinator {url} --survey {survey} --wait", tercet.display());
    println!("  {} published --coordinator {url} --survey {survey}", tercet.display());
    println!("  {} query --coordinator {url} --survey {survey} --statistic mean", tercet.display());
    println!("  {} withdraw --receipt receipt.json", tercet.display());
    println!("\nLogs are in {}. Ctrl-C stops everything.", stack.layout().root().join("logs").display());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let casualty = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        if let Some(every) = options.release_every {
            tokio::spawn(release_every(url.clone(), survey, Duration::from_secs(every.get())));
        }
        loop {
            tokio::select! {
                end = tokio::signal::ctrl_c() => return end.map(|()| None),
                _ = terminate.recv() => return Ok(None),
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    if let Some(casualty) = stack.casualty() {
                        return Ok(Some(casualty));
                    }
                }
            }
        }
    })?;
    eprintln!("stopping");
    stack.stop();
    match casualty {
        None => Ok(()),
        Some(text) => bail!("{text}"),
    }
}

/// Prints the last lines of every process's log, after a failure.
pub fn last_lines(stack: &Stack) {
    eprintln!("the processes' logs:");
    for name in tercet_stack::PROCESSES {
        let log = std::fs::read_to_string(stack.layout().log(name)).unwrap_or_default();
        for line in log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev() {
            eprintln!("  {name}: {line}");
        }
    }
}
