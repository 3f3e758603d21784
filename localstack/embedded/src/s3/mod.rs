//! The S3 API on loopback: `s3s` speaks the protocol (signatures included), a folder holds the objects.
//!
//! **Atomicity.** An object is one file, written in full under a temporary name and then renamed; the
//! conditions of a write (`If-None-Match: *`, `If-Match`) are evaluated under the same lock as the rename. So
//! of any number of simultaneous creators of one key exactly one wins, a reader sees a whole object or none,
//! and a process killed at any moment leaves no trace of an unanswered write but a temporary file, which the
//! next start removes. Declared digests (`Content-MD5`, `x-amz-checksum-*`) are checked before the rename.
//! (The file backend `s3s-fs` has neither: it checks conditions without a lock, checks digests after the
//! rename and keeps metadata in further files.)
//!
//! **Durability.** An answered write has been handed to the system and outlives the process. Only with
//! [`Config::sync`] is it also forced to the disk before the answer, so that it outlives a power failure; that
//! costs some milliseconds a write.
//!
//! **Access.** Every request must be signed with one of the [`Keys`], each of which may be confined to its
//! own buckets: one operator cannot read another's shares, as in a cloud with proper policies.
//!
//! **Left out** (answered `NotImplemented`): multipart uploads, copies, versions, lifecycle, policies. One PUT
//! takes up to [`MAX_OBJECT`] bytes.

mod api;
mod format;
mod keys;
mod listing;
mod objects;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;

pub use keys::{Key, Keys};

use crate::server::{accept, bind};
use crate::{Error, Server};
use objects::Objects;

/// Largest object, in bytes.
pub const MAX_OBJECT: usize = 256 * 1024 * 1024;

/// The settings of [`serve`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Loopback address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Folder of the objects, made if needed. One server at a time.
    pub root: PathBuf,
    /// The accounts with their permissions.
    pub keys: Keys,
    /// Buckets to make if they are not there yet.
    pub buckets: Vec<String>,
    /// Force every write to the disk before answering.
    pub sync: bool,
}

/// Starts the server.
///
/// # Errors
/// The address is not loopback or taken; the folder is in use, unusable or holds a damaged object; a bucket
/// name is not allowed; there are no access keys.
pub async fn serve(config: Config) -> Result<Server, Error> {
    let Config { listen, root, keys, buckets, sync } = config;
    keys.check()?;
    let objects = tokio::task::spawn_blocking(move || -> Result<Objects, Error> {
        let objects = Objects::open(&root, sync)?;
        for bucket in &buckets {
            objects.ensure_bucket(bucket)?;
        }
        Ok(objects)
    })
    .await
    .map_err(|e| Error::File { action: "opening", path: PathBuf::new(), source: e.into() })??;
    let (listener, addr) = bind(listen).await?;

    let mut builder = s3s::service::S3ServiceBuilder::new(api::Api::new(Arc::new(objects)));
    builder.set_auth(keys.auth());
    builder.set_access(keys.access());
    let service = builder.build();
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(std::time::Duration::from_secs(60));

    Ok(Server::spawn(addr, "http", |stopped| {
        accept(listener, stopped, move |stream, watcher| {
            let connection = http.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
            async move {
                if let Err(e) = watcher.watch(connection).await {
                    tracing::debug!(error = %e, "S3 connection");
                }
            }
        })
    }))
}
