//! LocalStack 4.14 as a process of this machine: no Docker, no account, loopback only.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::command::{program, root, run};
use xtask::python;

const REQUIREMENTS: &str = "localstack/requirements.txt";
const EXECUTOR: &str = "localstack/executor";
/// Every call that it got, one a line, in its folder (`executor/tercet_lambda_executor/recorder.py`).
pub const RECORD: &str = "calls.jsonl";
/// Longest time until it answers its health check.
const START: Duration = Duration::from_secs(120);
/// Longest time until it stops.
const STOP: Duration = Duration::from_secs(20);

/// The environment with LocalStack and the Lambda executor; its `bin` folder.
pub fn install() -> Result<PathBuf> {
    let bin = python::environment("localstack", REQUIREMENTS)?;
    let source = root().join(EXECUTOR);
    let mut wanted = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(source.join("tercet_lambda_executor"))?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "py"))
        .chain([source.join("pyproject.toml")])
        .collect();
    files.sort();
    for file in files {
        wanted.extend(std::fs::read(&file).with_context(|| file.display().to_string())?);
    }
    let stamp = bin.join("../executor-installed");
    if std::fs::read(&stamp).is_ok_and(|had| had == wanted) {
        return Ok(bin);
    }
    // Built from a copy: setuptools leaves folders beside what it builds.
    let copy = tempfile::tempdir()?;
    run(program("cp").arg("-R").arg(source.join(".")).arg(copy.path()))?;
    run(program(bin.join("python3"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall"])
        .arg(copy.path()))?;
    std::fs::write(&stamp, &wanted)?;
    Ok(bin)
}

/// Runs the executor's own tests.
pub fn test_executor(bin: &Path) -> Result<()> {
    run(program(bin.join("python3"))
        .args(["-B", "-m", "unittest", "discover", "--quiet", "--start-directory", "tests"])
        .current_dir(root().join(EXECUTOR))
        .env("PYTHONPATH", "."))
}

/// The instance to run.
pub struct Options<'a> {
    /// Everything it writes: state, log.
    pub folder: &'a Path,
    /// Its port on loopback.
    pub port: u16,
    /// `tercet-embedded`, which serves DynamoDB behind it.
    pub embedded: &'a Path,
    /// True if a Ctrl-C in the terminal leaves it alone.
    pub stays: bool,
}

/// A running LocalStack. Dropping it kills it.
#[derive(Debug)]
pub struct LocalStack {
    child: Option<Child>,
    port: u16,
    log: PathBuf,
}

impl LocalStack {
    /// Starts it and waits until it answers.
    pub fn start(bin: &Path, options: &Options<'_>) -> Result<Self> {
        if TcpListener::bind(("127.0.0.1", options.port)).is_err() {
            bail!("port {} is taken: stop what listens there, or choose another with --port", options.port);
        }
        let folder = std::path::absolute(options.folder)?;
        let home = folder.join("home");
        let temporary = folder.join("tmp");
        for dir in [&home, &temporary] {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        install_dynamodb(&folder.join("root"), options.embedded)?;
        let log = folder.join("localstack.log");
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = program(bin.join("python3"));
        command
            .args(["-m", "localstack.runtime.main"])
            // Nothing of the caller's environment: a variable of LocalStack's or the AWS SDK's would change what runs.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            // Where functions are unpacked.
            .env("TMPDIR", &temporary)
            .env("OVERRIDE_IN_DOCKER", "0")
            .env("FILESYSTEM_ROOT", folder.join("root"))
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{}", options.port))
            // The default server ignores the address above and listens on every interface.
            .env("GATEWAY_SERVER", "hypercorn")
            .env("DNS_ADDRESS", "0")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1")
            .env("DISABLE_EVENTS", "1")
            .env("LAMBDA_RUNTIME_EXECUTOR", "process")
            .env("DYNAMODB_IN_MEMORY", "1")
            .env("TERCET_RECORD", folder.join(RECORD))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        if options.stays {
            command.process_group(0);
        }
        let child = command.spawn().context("cannot start LocalStack")?;
        let mut this = Self { child: Some(child), port: options.port, log };
        this.wait()?;
        Ok(this)
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Leaves it running.
    pub fn detach(mut self) {
        self.child = None;
    }

    /// Stops it.
    pub fn stop(mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        signal(child.id(), "-TERM")?;
        let start = Instant::now();
        while start.elapsed() < STOP {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while !healthy(self.port) {
            let ended = self.child.as_mut().is_some_and(|c| !matches!(c.try_wait(), Ok(None)));
            if ended || start.elapsed() > START {
                bail!("LocalStack did not start; the end of its log:\n{}", self.log_end());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for LocalStack {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Gone already is as good.
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

/// Sends a process a signal.
pub fn signal(pid: u32, signal: &str) -> Result<()> {
    run(program("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()))
}

/// True if something on this port answers LocalStack's health check.
pub fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream
            .write_all(b"GET /_localstack/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    };
    ask().is_ok_and(|head| head.ends_with("200"))
}

/// LocalStack starts DynamoDB Local, a Java program whose licence forbids passing it on. Here it starts the DynamoDB
/// API of `tercet-embedded` under the name of `java`, on the port that LocalStack chose.
fn install_dynamodb(fs: &Path, embedded: &Path) -> Result<()> {
    let lib = fs.join("var/lib/localstack/lib");
    let jar = lib.join("dynamodb-local/2/DynamoDBLocal.jar");
    let java = lib.join("java/21/bin/java");
    for file in [&jar, &java] {
        let parent = file.parent().context("a file has a folder")?;
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    // Only its presence is looked at.
    std::fs::write(&jar, b"")?;
    let embedded = std::path::absolute(embedded)?;
    let script = format!(
        "#!/bin/sh\n# In place of DynamoDB Local: {EXECUTOR}/../README.md says why.\n\
         while [ $# -gt 0 ]; do [ \"$1\" = -port ] && port=$2; shift; done\n\
         exec setpriv --pdeathsig KILL -- '{}' dynamodb --listen \"127.0.0.1:$port\" --db :memory:\n",
        embedded.display()
    );
    std::fs::write(&java, script)?;
    std::fs::set_permissions(&java, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
