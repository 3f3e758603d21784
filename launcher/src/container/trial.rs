//! Three parties run from the image's files as a container engine would run them, without one: by bubblewrap, as user
//! 65532 without capabilities, on a root file system that nobody can write to, with no `/dev`, `/proc` or `/tmp`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tercet_client::http::{Http, HttpOptions, Request, Url};
use tercet_stack::{Options, Stack};
use xtask::command::{self, exists, program, run};

use super::{File, PROGRAM, environment};
use crate::up;

/// Runs a system natively, stops it, and runs it again with the image's parties on the same data.
pub fn run_task(files: &[File]) -> Result<()> {
    ensure!(exists("bwrap"), "--try needs bubblewrap (`bwrap`)");
    let scratch = tempfile::tempdir()?;
    let (data, image) = (scratch.path().join("data"), scratch.path().join("image"));
    let native = up::system(data.clone(), None, 1, 0)?;
    // What an operator makes before a party starts: keys, documents, configuration.
    Stack::start(native.clone(), &mut |_| ())?.stop();

    for (name, mode, bytes) in files {
        let path = image.join(name);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(&path, bytes)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode))?;
    }
    // Where the operator's documents are mounted.
    std::fs::create_dir_all(image.join(data.strip_prefix("/")?))?;
    let programs = programs(scratch.path(), &image, &data)?;
    let stack = Stack::start(Options { programs: programs.clone(), ..native }, &mut |_| ())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for party in 0..3 {
        let url: Url = format!("{}/readyz", stack.party(party)).parse()?;
        // Retried while it is not ready.
        let ready = async { Http::new(HttpOptions::default())?.send(&Request::get("the party", url)).await };
        runtime.block_on(ready).with_context(|| format!("party {party} does not become ready"))?;
        let config = stack.layout().party_config(party);
        run(program(programs.join("party-host")).arg("healthcheck").arg("--config").arg(config))?;
    }
    stack.stop();
    eprintln!("three parties of this image ran: ready, healthy, nothing to write to");
    Ok(())
}

/// The programs of this machine's own build, but for the party: that is the image's, shut in.
fn programs(scratch: &Path, image: &Path, data: &Path) -> Result<std::path::PathBuf> {
    let folder = scratch.join("programs");
    std::fs::create_dir_all(&folder)?;
    for name in ["coordinator", "tercet-embedded"] {
        let built = std::path::absolute(command::programs("dev").join(name))?;
        std::os::unix::fs::symlink(built, folder.join(name))?;
    }
    let settings: String = environment()
        .iter()
        .filter_map(|one| one.split_once('='))
        .map(|(name, value)| format!(" --setenv {name} '{value}'"))
        .collect();
    let script = format!(
        "#!/bin/sh\nexec bwrap --ro-bind '{}' / --ro-bind '{data}' '{data}' --unshare-user --unshare-ipc --unshare-pid \
         --unshare-uts --uid 65532 --gid 65532 --cap-drop ALL --new-session --die-with-parent --as-pid-1{settings} \
         /{PROGRAM} \"$@\"\n",
        image.display(),
        data = data.display(),
    );
    let path = folder.join("party-host");
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}
