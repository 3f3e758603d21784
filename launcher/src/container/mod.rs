//! `cargo xtask container`: the party host as a container image, without a container engine: an archive of the OCI
//! image layout that any engine or registry takes.
//!
//! Three files: one static program, the engine and the root certificates. The same source and toolchain give the same
//! manifest digest wherever it is built, so that an operator can build the image that others say they run.

mod trial;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use tercet_protocol::ids::sha256;
use xtask::command::{root, run, target_dir};
use xtask::engine;
use xtask::launched::{Arch, Container};
use xtask::reproducible::{self, Another};

/// A file of the image: name, mode, content.
type File = (&'static str, u32, Vec<u8>);

const PROGRAM: &str = "usr/bin/party-host";
const ENGINE: &str = "usr/share/tercet/party_wasm.wasm";
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Builds everything and writes the archive.
pub fn run_task(options: &Container) -> Result<()> {
    let arch = options.arch.map_or_else(Arch::here, Ok)?;
    let another = options.check.then(Another::of_the_commit).transpose()?;
    let engine = engine::built()?;
    let program = program(arch, &root(), &target_dir())?;
    if let Some(another) = another {
        let again = self::program(arch, &another.source(), &another.target())?;
        if std::fs::read(&program)? != std::fs::read(&again)? {
            bail!("not reproducible: {} differs when it is built from another folder", program.display());
        }
        eprintln!("the same program from another folder");
    }
    let files: Vec<File> = vec![
        (CERTIFICATES, 0o444, certificates().into_bytes()),
        (PROGRAM, 0o555, std::fs::read(&program).with_context(|| program.display().to_string())?),
        (ENGINE, 0o444, std::fs::read(&engine.path)?),
    ];
    if options.trial {
        trial::run_task(&files)?;
    }
    let image = image(arch, &engine.digest, files)?;
    let out = options.out.clone().unwrap_or_else(|| target_dir().join("containers"));
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let path = out.join(format!("tercet-party-{}.oci.tar", arch.name()));
    std::fs::write(&path, &image.archive).with_context(|| path.display().to_string())?;
    println!("{}\n{} bytes, engine {}", path.display(), image.archive.len(), engine.digest);
    println!("image sha256:{}", image.digest);
    Ok(())
}

/// Builds `party-host` without a C library of the system's, with zig as the C compiler and linker of both processors.
fn program(arch: Arch, source: &Path, target: &Path) -> Result<PathBuf> {
    let triple = match arch {
        Arch::X86_64 => "x86_64-unknown-linux-musl",
        Arch::Arm64 => "aarch64-unknown-linux-musl",
    };
    run(reproducible::build("cargo-zigbuild", triple, source, target)?
        .args(["zigbuild", "--quiet", "--locked", "--release", "--target", triple])
        .args(["-p", "party-host", "--bin", "party-host"])
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols"))?;
    Ok(target.join(triple).join("release/party-host"))
}

/// Mozilla's root certificates, as the locked version of the crate `webpki-root-certs` has them.
fn certificates() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = STANDARD.encode(certificate.as_ref());
        pem += "-----BEGIN CERTIFICATE-----\n";
        for line in text.as_bytes().chunks(64) {
            pem += &String::from_utf8_lossy(line);
            pem += "\n";
        }
        pem += "-----END CERTIFICATE-----\n";
    }
    pem
}

/// The environment that the image sets.
fn environment() -> [String; 2] {
    [format!("SSL_CERT_FILE=/{CERTIFICATES}"), "TERCET_LOG_JSON=true".to_owned()]
}

/// A finished image.
struct Image {
    archive: Vec<u8>,
    /// SHA-256 of its manifest: the digest by which registries name the image.
    digest: String,
}

/// The image of these files: its digest depends on them and the engine's digest alone.
fn image(arch: Arch, engine: &str, files: Vec<File>) -> Result<Image> {
    let layer =
        archive(files.into_iter().map(|(name, mode, bytes)| (name.to_owned(), mode, bytes)).collect())?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    gzip.write_all(&layer)?;
    let packed = gzip.finish()?;
    // Beside OCI's own fields, `Healthcheck` is Docker's.
    let config = serde_json::to_vec(&json!({
        "architecture": if arch == Arch::Arm64 { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {
            "User": "65532:65532",
            "ExposedPorts": {"8080/tcp": {}, "7443/tcp": {}},
            "Env": environment(),
            "Entrypoint": [format!("/{PROGRAM}")],
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "tercet party host",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "Apache-2.0 OR MIT",
                "org.tercet.engine": engine,
            },
            "Healthcheck": {
                "Test": ["CMD", format!("/{PROGRAM}"), "healthcheck"],
                "Interval": 10_000_000_000_u64, "Timeout": 5_000_000_000_u64,
                "StartPeriod": 60_000_000_000_u64, "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    }))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    }))?;
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", &manifest)],
    }))?;
    let mut files = vec![
        ("oci-layout".to_owned(), 0o444, br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), 0o444, index),
    ];
    let digest = hex::encode(sha256(&[&manifest]));
    for blob in [config, manifest, packed] {
        files.push((format!("blobs/sha256/{}", hex::encode(sha256(&[&blob]))), 0o444, blob));
    }
    Ok(Image { archive: archive(files)?, digest })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha256(&[bytes])))
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()})
}

/// A tar of files and the folders above them, all root's, in the order of their names, without times.
fn archive(mut files: Vec<(String, u32, Vec<u8>)>) -> Result<Vec<u8>> {
    files.sort();
    let mut folders: Vec<PathBuf> = files
        .iter()
        .flat_map(|(name, ..)| Path::new(name).ancestors().skip(1))
        .filter(|p| !p.as_os_str().is_empty())
        .map(Path::to_path_buf)
        .collect();
    folders.sort();
    folders.dedup();
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, mode, size| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    };
    for folder in folders {
        let name = format!("{}/", folder.display());
        tar.append_data(&mut header(tar::EntryType::Directory, 0o555, 0), name, std::io::empty())?;
    }
    for (name, mode, bytes) in files {
        tar.append_data(&mut header(tar::EntryType::Regular, mode, bytes.len() as u64), name, &*bytes)?;
    }
    Ok(tar.into_inner()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn entries(tar: &[u8]) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let h = entry.header();
                assert_eq!((h.uid().unwrap(), h.gid().unwrap(), h.mtime().unwrap()), (0, 0, 0));
                (entry.path().unwrap().display().to_string(), (h.mode().unwrap(), h.size().unwrap(), bytes))
            })
            .collect()
    }

    #[test]
    fn every_digest_in_the_image_is_of_what_it_names() {
        let files = || vec![(PROGRAM, 0o555, b"program".to_vec()), (ENGINE, 0o444, b"engine".to_vec())];
        let made = image(Arch::X86_64, "e1", files()).unwrap();
        let blobs = entries(&made.archive);
        let blob = |d: &Value| {
            let hex = d["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let (_, size, bytes) = blobs[&format!("blobs/sha256/{hex}")].clone();
            assert_eq!((hex::encode(sha256(&[&bytes])), Some(size)), (hex.to_owned(), d["size"].as_u64()));
            bytes
        };
        let index: Value = serde_json::from_slice(&blobs["index.json"].2).unwrap();
        assert_eq!(index["manifests"][0]["digest"], format!("sha256:{}", made.digest));
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        assert_eq!(config["config"]["Labels"]["org.tercet.engine"], "e1");
        assert_eq!(config["config"]["User"], "65532:65532");
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(&*blob(&manifest["layers"][0])).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer));
        let inside = entries(&layer);
        assert_eq!(inside[PROGRAM], (0o555, 7, b"program".to_vec()));
        // Nobody may write anything, folders included.
        assert!(inside.values().all(|(mode, ..)| mode & 0o222 == 0), "{:?}", inside.keys());
        assert_eq!(
            image(Arch::X86_64, "e1", files()).unwrap().archive,
            made.archive,
            "always the same bytes"
        );
        assert_ne!(image(Arch::X86_64, "e2", files()).unwrap().digest, made.digest);
    }

    #[test]
    fn the_certificates_are_pem() {
        let pem = certificates();
        assert_eq!(
            pem.matches("-----BEGIN CERTIFICATE-----").count(),
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
        );
        assert!(pem.lines().all(|line| line.len() <= 64) && pem.len() > 100_000);
    }
}
