//! `cargo xtask package`: the coordinator as a zip for Lambda (`provided.al2023`).
//!
//! One zip serves all three functions, which `TERCET_FUNCTION` tells apart. The same source and toolchain give the same
//! bytes wherever it is built: paths are remapped, the binary is stripped, and the zip has fixed times, modes and order.
//! Federation and surveys are not in it: the functions read them from the table.

use std::fs::File;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tercet_protocol::ids::sha256;
use xtask::command::{root, run, target_dir};
use xtask::launched::{Arch, Package as Options};
use xtask::reproducible::{self, Another};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The functions that the zip serves.
pub const FUNCTIONS: [&str; 3] = ["api", "refresh", "reap"];

/// Largest zip that the project allows itself.
const MAX_ZIP: usize = 10 << 20;

/// A package.
#[derive(Debug, Serialize)]
pub struct Package {
    /// The zip.
    pub zip: PathBuf,
    /// Lambda's name of the processor.
    pub architecture: &'static str,
    /// SHA-256 of the zip.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// The functions that it serves, each with the file: Terraform's `lambda_zip`.
    pub lambda_zip: std::collections::BTreeMap<&'static str, PathBuf>,
}

/// Builds and packs.
pub fn run_task(options: &Options) -> Result<()> {
    let another = options.check.then(Another::of_the_commit).transpose()?;
    options.arch.iter().try_for_each(|arch| run_one(options, *arch, another.as_ref()))
}

fn run_one(options: &Options, arch: Arch, another: Option<&Another>) -> Result<()> {
    let program = build(arch, &root(), &target_dir())?;
    let out = options.out.clone().unwrap_or_else(|| target_dir().join("lambda-packages"));
    let package = pack(&program, arch, &out)?;
    if package.bytes > MAX_ZIP {
        bail!("the zip has {} bytes, more than the {MAX_ZIP} that the project allows itself", package.bytes);
    }
    if let Some(another) = another {
        build_again(arch, &package, another)?;
    }
    if options.json {
        println!("{}", serde_json::to_string(&package)?);
    } else {
        println!("{}\n{} bytes, SHA-256 {}", package.zip.display(), package.bytes, package.sha256);
    }
    Ok(())
}

/// Builds the committed source in another folder and compares the zips byte by byte.
fn build_again(arch: Arch, first: &Package, another: &Another) -> Result<()> {
    let program = build(arch, &another.source(), &another.target())?;
    let second = pack(&program, arch, &another.target().join("zip"))?;
    if std::fs::read(&first.zip)? != std::fs::read(&second.zip)? {
        bail!("not reproducible: {} here, {} from another folder", first.sha256, second.sha256);
    }
    eprintln!("the same bytes from another folder");
    Ok(())
}

/// Builds the program for Lambda's own C library with cargo-lambda and zig.
fn build(arch: Arch, source: &Path, target: &Path) -> Result<PathBuf> {
    let out = target.join("lambda-programs").join(arch.name());
    run(reproducible::build("cargo-lambda", arch.target(), source, target)?
        .args(["lambda", "build", "--quiet", "--locked", "--profile", "lambda", "--target", arch.target()])
        .args(["-p", "coordinator-lambda", "--bin", "coordinator", "--flatten", "coordinator"])
        .arg("--lambda-dir")
        .arg(&out))?;
    Ok(out.join("bootstrap"))
}

/// A program of this machine's own build, for LocalStack on this machine: the one that the tests run anyway, so that
/// nothing is built twice. Its debug information is stripped, because with it the zip would be larger than Lambda
/// accepts.
pub fn stripped(built: &Path) -> Result<PathBuf> {
    let folder = target_dir().join("lambda-programs/here");
    std::fs::create_dir_all(&folder)?;
    let stripped = folder.join("bootstrap");
    // Any C toolchain has `strip`, and Rust needs one to link.
    run(xtask::command::program("strip").arg("-o").arg(&stripped).arg(built))?;
    Ok(stripped)
}

/// Packs a program into `out`.
pub fn pack(program: &Path, arch: Arch, out: &Path) -> Result<Package> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let bytes = zip(vec![("bootstrap".to_owned(), 0o755, read(program)?)])?;
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let path = std::path::absolute(out)?.join(format!("coordinator-{}.zip", arch.name()));
    let package = Package {
        architecture: arch.name(),
        sha256: hex::encode(sha256(&[&bytes])),
        bytes: bytes.len(),
        lambda_zip: FUNCTIONS.into_iter().map(|f| (f, path.clone())).collect(),
        zip: path,
    };
    write(&package.zip, &bytes)?;
    write(&package.zip.with_extension("json"), &serde_json::to_vec_pretty(&package)?)?;
    Ok(package)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let done = File::create(&partial).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()));
    done.and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A zip whose bytes depend on the files alone: sorted names, the format's earliest time, given modes.
fn zip(mut files: Vec<(String, u32, Vec<u8>)>) -> Result<Vec<u8>> {
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, bytes) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(DateTime::default())
            .unix_permissions(mode);
        zip.start_file(name, options)?;
        zip.write_all(&bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn program(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("program");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn the_same_program_gives_the_same_zip_whatever_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let path = program(folder.path(), &bytes);
        let first = pack(&path, Arch::X86_64, &folder.path().join("a")).unwrap();
        // Other times, another mode, another folder: none of it is in the zip.
        let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let second = pack(&path, Arch::X86_64, &folder.path().join("b")).unwrap();
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(std::fs::read(&first.zip).unwrap(), std::fs::read(&second.zip).unwrap());
        let other = pack(&program(folder.path(), b"other"), Arch::X86_64, folder.path()).unwrap();
        assert_ne!(first.sha256, other.sha256);
    }

    #[test]
    fn the_zip_holds_an_executable_bootstrap() {
        let folder = tempfile::tempdir().unwrap();
        let package = pack(&program(folder.path(), b"\x7fELF"), Arch::Arm64, folder.path()).unwrap();
        let mut zip = zip::ZipArchive::new(File::open(&package.zip).unwrap()).unwrap();
        assert_eq!(zip.len(), 1);
        let mut file = zip.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|m| m & 0o777), Some(0o755));
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"\x7fELF");
        assert_eq!(package.lambda_zip.keys().copied().collect::<Vec<_>>(), ["api", "reap", "refresh"]);
    }
}
