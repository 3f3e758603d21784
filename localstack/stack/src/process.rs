//! One process: started, waited for until it says that it listens, stopped politely, killed if need be.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Longest time until a process listens.
const START: Duration = Duration::from_secs(600);
/// Longest time until it stops.
const STOP: Duration = Duration::from_secs(25);

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A process that was started, and may not listen yet.
#[derive(Debug)]
pub struct Starting {
    process: Process,
    told: mpsc::Receiver<()>,
}

impl Starting {
    /// Starts a program. Its log goes to a file.
    pub fn start(
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, String)],
        log: &Path,
    ) -> Result<Self> {
        let file =
            File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        let mut child = Command::new(program)
            .args(args)
            .envs(env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take();
        let process = Process { name: name.into(), child, log: log.into() };
        let (tell, told) = mpsc::channel();
        if let Some(stdout) = stdout {
            // Reads on after the first line, so that the process never blocks on a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if line.starts_with("listening ") {
                        let _gone = tell.send(());
                    }
                }
            });
        }
        Ok(Self { process, told })
    }

    /// Waits for its line `listening …`.
    pub fn listens(self) -> Result<Process> {
        let Self { mut process, told } = self;
        let start = Instant::now();
        loop {
            match told.recv_timeout(Duration::from_millis(100)) {
                Ok(()) => return Ok(process),
                Err(_) if process.child.try_wait()?.is_some() => {
                    bail!("{} did not start:\n{}", process.name, process.log_end())
                }
                Err(_) if start.elapsed() > START => {
                    bail!(
                        "{} does not listen after {} s:\n{}",
                        process.name,
                        START.as_secs(),
                        process.log_end()
                    )
                }
                Err(_) => {}
            }
        }
    }
}

impl Process {
    /// Starts a program and waits for its line `listening …`. Its log goes to a file.
    pub fn start(
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, String)],
        log: &Path,
    ) -> Result<Self> {
        Starting::start(name, program, args, env, log)?.listens()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// If it ended by itself: its name and the end of its log.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        Some(format!("{} ended with {status}:\n{}", self.name, self.log_end()))
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        // Gone already is as good.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }

    /// Asks it to stop and waits; kills it if it does not.
    pub fn terminate(mut self) {
        let _sent =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let start = Instant::now();
        while start.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_now();
        }
    }
}
