//! Terraform: running it, and `cargo xtask test`'s steps about `terraform/`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{exists, program, root, target_dir};
use crate::python;
use crate::report::Report;

/// Oldest Terraform that has everything the tests use (a state of its own for each run).
const MINIMUM: (u32, u32) = (1, 11);
/// The advice where Terraform is missing.
pub const MISSING: &str = "Terraform 1.11 or newer (developer.hashicorp.com/terraform/install)";
/// The provider that every root pins.
const PROVIDER: &str = "registry.terraform.io/hashicorp/aws";
const PROVIDER_VERSION: &str = "5.100.0";
/// Names a folder with providers, in the layout of `terraform providers mirror`.
const MIRROR: &str = "TERCET_TERRAFORM_MIRROR";
/// Terraform's own variable for its configuration file.
const CLI_CONFIG: &str = "TF_CLI_CONFIG_FILE";

/// Modules whose policy documents are rendered and evaluated.
const POLICED: [&str; 3] = ["modules/coordinator", "modules/party", "modules/notary"];
const MODULES: [&str; 4] = [POLICED[0], POLICED[1], POLICED[2], "modules/bootstrap"];
const ROOTS: [&str; 7] = [
    "environments/aws/bootstrap",
    "environments/aws/coordinator",
    "environments/aws/party",
    "environments/aws/notary",
    "environments/localstack/coordinator",
    "environments/localstack/party",
    "environments/localstack/notary",
];

/// `terraform` in a folder below `terraform/`, with the providers where they are: named by `TF_CLI_CONFIG_FILE` or
/// `TERCET_TERRAFORM_MIRROR`, lying in one of the usual places, or else in the registry. What it keeps about the
/// folder is below the target folder, under `data`.
pub fn command(folder: &str, data: &str) -> Result<Command> {
    let work = target_dir().join("terraform");
    let cache = work.join("plugin-cache");
    std::fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let mut terraform = program("terraform");
    terraform
        .arg(format!("-chdir={}", root().join("terraform").join(folder).display()))
        .env("TF_IN_AUTOMATION", "1")
        .env("TF_INPUT", "0")
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_PLUGIN_CACHE_DIR", cache)
        .env("TF_DATA_DIR", work.join("data").join(data.replace('/', "-")));
    if !std::env::var_os(CLI_CONFIG).is_some_and(|file| Path::new(&file).is_file()) {
        match mirror()? {
            Some(mirror) => terraform.env(CLI_CONFIG, cli_config(&work, &mirror)?),
            None => terraform.env_remove(CLI_CONFIG),
        };
    }
    Ok(terraform)
}

/// True if a Terraform is there that is new enough.
pub fn available() -> bool {
    let version = || {
        let out = program("terraform").args(["version", "-json"]).stderr(Stdio::null()).output().ok()?;
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        let mut numbers = json.get("terraform_version")?.as_str()?.split('.').map_while(|n| n.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    version().is_some_and(|v: (u32, u32)| v >= MINIMUM)
}

/// The first program that the end-to-end run on LocalStack needs and this machine lacks; `None` if all are there.
pub fn missing_for_localstack() -> Option<&'static str> {
    if !available() {
        return Some(MISSING);
    }
    if !exists("node") || !exists("npm") {
        return Some("Node.js with npm (it evaluates policies)");
    }
    python::find().is_err().then_some(python::MISSING)
}

/// A folder that has the provider for this machine, so that no registry is needed.
fn mirror() -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(MIRROR) {
        let named = PathBuf::from(named);
        if !has_provider(&named) {
            bail!("{MIRROR} is {}, which holds no {PROVIDER} {PROVIDER_VERSION}", named.display());
        }
        return Ok(Some(named));
    }
    Ok(usual_places().into_iter().find(|place| has_provider(place)))
}

/// Terraform's own implied mirrors, and the folders directly below those where software is put by hand.
fn usual_places() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|h| h.join(".local/share")));
    let mut places: Vec<PathBuf> = home.iter().map(|h| h.join(".terraform.d/plugins")).collect();
    places.extend(data.iter().map(|d| d.join("terraform/plugins")));
    places.extend(["/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"].map(PathBuf::from));
    for parent in ["/opt", "/usr/local/lib", "/usr/local/share", "/usr/lib", "/usr/share"] {
        let below = std::fs::read_dir(parent).into_iter().flatten().flatten().map(|e| e.path());
        let mut below: Vec<_> = below.flat_map(|p| [p.join("plugins"), p]).collect();
        below.sort();
        places.append(&mut below);
    }
    places
}

/// True if a mirror has the provider, unpacked or as a zip.
fn has_provider(mirror: &Path) -> bool {
    let provider = mirror.join(PROVIDER);
    let zip = format!("terraform-provider-aws_{PROVIDER_VERSION}_{}.zip", platform());
    provider.join(PROVIDER_VERSION).join(platform()).is_dir() || provider.join(zip).is_file()
}

/// This machine as Terraform names it.
fn platform() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}_{arch}")
}

/// Writes a configuration file that takes the provider from the mirror, and others from the registry.
fn cli_config(work: &Path, mirror: &Path) -> Result<PathBuf> {
    let path = work.join("mirror.tfrc");
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path    = {:?}\n    include = [{PROVIDER:?}]\n  }}\n  \
         direct {{\n    exclude = [{PROVIDER:?}]\n  }}\n}}\n",
        mirror.display().to_string()
    );
    // Written beside it and moved: another process may read it at this moment.
    let mut file = tempfile::NamedTempFile::new_in(work)?;
    file.write_all(text.as_bytes())?;
    file.persist(&path).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Runs a command and shows its output only if it fails; gives its standard output.
fn quietly(command: &mut Command) -> Result<Vec<u8>> {
    let shown = format!("{:?} {:?}", command.get_program(), command.get_args().collect::<Vec<_>>());
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    if !out.status.success() {
        // Nothing to be done where the terminal is gone.
        let _shown =
            std::io::stderr().write_all(&out.stdout).and_then(|()| std::io::stderr().write_all(&out.stderr));
        bail!("{shown} ended with {}", out.status);
    }
    Ok(out.stdout)
}

/// Formatting, every root and module valid, the modules' tests, and the permissions in their policy documents.
pub fn check(report: &mut Report) -> Result<()> {
    if !available() {
        return report.skip("terraform", MISSING);
    }
    let mut format = command(".", "format")?;
    quietly(format.args(["fmt", "-check", "-diff", "-recursive", "-no-color"]))
        .context("run `terraform fmt -recursive terraform`")?;
    // One after the other: the plugin cache does not bear two at once.
    for root in ROOTS {
        init(root, &["-backend=false", "-lockfile=readonly"])?;
    }
    for module in MODULES {
        init(module, &[])?;
    }
    // Two at a time: mocked providers are processes of their own.
    let results = std::thread::scope(|scope| {
        let folders: Vec<&str> = MODULES.into_iter().chain(ROOTS).collect();
        let run = |first: usize| {
            let folders = folders.clone();
            scope.spawn(move || folders.into_iter().skip(first).step_by(2).try_for_each(validate_and_test))
        };
        let threads = [run(0), run(1)];
        threads.map(|t| t.join().unwrap_or_else(|_| bail!("a thread of the Terraform checks panicked")))
    });
    results.into_iter().collect::<Result<()>>()?;
    evaluate_policies(report)
}

fn init(folder: &str, more: &[&str]) -> Result<()> {
    quietly(command(folder, folder)?.args(["init", "-no-color"]).args(more)).map(drop).with_context(|| {
        format!(
            "terraform/{folder}: is the registry within reach? Without it, {MIRROR} names a folder made by \
                 `terraform providers mirror`"
        )
    })
}

fn validate_and_test(folder: &str) -> Result<()> {
    quietly(command(folder, folder)?.args(["validate", "-no-color"]))?;
    if !MODULES.contains(&folder) {
        return Ok(());
    }
    let said = quietly(
        command(folder, folder)?.args(["test", "-no-color"]).args(filters(&["defaults", "refusals"])),
    )?;
    let said = String::from_utf8_lossy(&said);
    eprintln!("terraform/{folder}: {}", said.trim_end().lines().last().unwrap_or_default());
    if !POLICED.contains(&folder) {
        return Ok(());
    }
    let mut render = command(folder, folder)?;
    render.args(["test", "-json", "-verbose", "-no-color"]).args(filters(&["policies"]));
    let rendered = quietly(&mut render)?;
    let path = documents(folder);
    std::fs::write(&path, rendered).with_context(|| path.display().to_string())
}

fn filters(files: &[&str]) -> Vec<String> {
    files.iter().map(|f| format!("-filter=tests/{f}.tftest.hcl")).collect()
}

/// Where a module's rendered policy documents are put.
fn documents(module: &str) -> PathBuf {
    target_dir().join("terraform").join(format!("{}.jsonl", module.replace('/', "-")))
}

/// Evaluates the rendered policy documents, and tests the evaluation itself.
fn evaluate_policies(report: &mut Report) -> Result<()> {
    if !exists("node") || !exists("npm") {
        return report.skip("evaluation of the policy documents", "Node.js with npm");
    }
    let folder = policy_tools()?;
    let files = POLICED.map(documents);
    let said = quietly(program("node").arg("check.mjs").args(&files).current_dir(&folder))?;
    eprint!("{}", String::from_utf8_lossy(&said));
    let mut joined = OsString::new();
    for file in &files {
        joined.push(file);
        joined.push("\n");
    }
    quietly(program("node").arg("--test").env("DOCUMENTS", joined).current_dir(&folder)).map(drop)
}

/// Installs the policy evaluator; the folder of its scripts. `node check.mjs FILE...` there evaluates the policies
/// that `collect.py` read from a deployment.
pub fn policy_tools() -> Result<PathBuf> {
    let folder = root().join("terraform/policies");
    quietly(program("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder))?;
    Ok(folder)
}

/// The policy scan. Each exception is beside its resource, with its reason.
pub fn scan(report: &mut Report) -> Result<()> {
    if python::find().is_err() {
        return report.skip("policy scan", python::MISSING);
    }
    let bin = python::environment("checkov", "terraform/policies/requirements.txt")?;
    // Started by its Python: a script's first line cannot hold a long path.
    let said = quietly(
        program(bin.join("python3"))
            .args(["-m", "checkov.main", "--config-file", "terraform/policies/checkov.yaml"])
            .env("LOG_LEVEL", "ERROR")
            .current_dir(root()),
    )?;
    let said = String::from_utf8_lossy(&said);
    eprint!(
        "{}",
        said.lines().filter(|l| l.starts_with("Passed checks")).fold(String::new(), |a, l| a + l + "\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_the_provider_unpacked_or_as_a_zip_of_this_version() {
        let dir = tempfile::tempdir().unwrap();
        let provider = dir.path().join(PROVIDER);
        std::fs::create_dir_all(provider.join("4.0.0").join(platform())).unwrap();
        assert!(!has_provider(dir.path()), "another version");
        let zip = provider.join(format!("terraform-provider-aws_{PROVIDER_VERSION}_{}.zip", platform()));
        std::fs::write(&zip, []).unwrap();
        assert!(has_provider(dir.path()), "a zip");
        std::fs::remove_file(zip).unwrap();
        std::fs::create_dir_all(provider.join(PROVIDER_VERSION).join(platform())).unwrap();
        assert!(has_provider(dir.path()), "unpacked");
    }

    #[test]
    fn the_configuration_names_the_mirror() {
        let dir = tempfile::tempdir().unwrap();
        let path = cli_config(dir.path(), Path::new("/a \"quoted\" place")).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(r#"path    = "/a \"quoted\" place""#), "{text}");
        assert!(text.contains(&format!("exclude = [\"{PROVIDER}\"]")), "{text}");
    }

    #[test]
    fn every_root_pins_the_provider_that_is_looked_for() {
        for folder in ROOTS {
            let lock = root().join("terraform").join(folder).join(".terraform.lock.hcl");
            let lock = std::fs::read_to_string(lock).unwrap();
            assert!(lock.contains(&format!("version     = \"{PROVIDER_VERSION}\"")), "{folder}");
            assert!(
                lock.contains("\"zh:") && lock.contains("\"h1:"),
                "{folder}: any platform, registry or mirror"
            );
        }
    }
}
