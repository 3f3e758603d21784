//! The DynamoDB API on loopback: `dynoxide`, an emulator over SQLite, in this process.
//!
//! **Durability.** A file database is in write-ahead-log mode and every answered write has been handed to the
//! system: killing the process at any moment loses nothing that was answered. It is not forced to the disk on
//! each write (`synchronous = NORMAL`), so a power failure may lose the last writes, though never corrupt the
//! file.
//!
//! **Access.** Requests must carry a signature in the right form, which is not verified: any key works, and
//! tables are shared by all accounts. Anything that must be kept from another operator does not belong here.
//!
//! **TTL.** Expired items are not deleted promptly, as on AWS: readers filter on the expiry.
//!
//! **Limits.** The server has none. [`partitions`] is a model of AWS's, for tests that put it around the engine
//! ([`local`]) on a clock of their own.

pub mod local;
pub mod partitions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::files::{self, Lock};
use crate::server::bind;
use crate::{Error, Server};

/// Longest time that open connections may keep the server from ending.
const GRACE: Duration = Duration::from_secs(3);

/// The place of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In memory: gone when the server stops.
    Memory,
    /// In a file, made if needed (two more with `-wal` and `-shm` appended appear beside it while it is open).
    File(PathBuf),
}

/// The settings of [`serve`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Loopback address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The place of the tables.
    pub store: Store,
}

/// Starts the server.
///
/// # Errors
/// The address is not loopback or taken, the file is in use by another process or not a database.
pub async fn serve(config: Config) -> Result<Server, Error> {
    let (database, lock) = open(&config.store)?;
    let (listener, addr) = bind(config.listen).await?;
    Ok(Server::spawn(addr, "http", |stopped| async move {
        let stopping = std::sync::Arc::new(tokio::sync::Notify::new());
        let heard = stopping.clone();
        let served = dynoxide::server::serve_with_shutdown(listener, database, async move {
            // An error means the `Server` was dropped, which is a stop as well.
            let _ = stopped.await;
            heard.notify_one();
        });
        let late = async {
            stopping.notified().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = served => if let Err(reason) = result {
                tracing::error!(reason, "DynamoDB server failed");
            },
            () = late => tracing::warn!("some DynamoDB connections did not finish in time and are cut off"),
        }
        drop(lock);
    }))
}

fn open(store: &Store) -> Result<(dynoxide::Database, Option<Lock>), Error> {
    let failed = |name: &str, e: dynoxide::DynoxideError| Error::Database {
        name: name.to_owned(),
        reason: format!("{e:?}"),
    };
    match store {
        Store::Memory => {
            let database = dynoxide::Database::memory().map_err(|e| failed(":memory:", e))?;
            Ok((database, None))
        }
        Store::File(path) => {
            if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                files::make_folder(folder)?;
            }
            let mut lock = path.clone().into_os_string();
            lock.push(".lock");
            let lock = Lock::acquire(lock.as_ref())?;
            let name = path.to_string_lossy();
            let database = dynoxide::Database::new(&name).map_err(|e| failed(&name, e))?;
            // The emulator's only public way to `synchronous = NORMAL` (see the module's text); the other
            // settings it restores are SQLite's defaults.
            database.disable_bulk_loading().map_err(|e| failed(&name, e))?;
            Ok((database, Some(lock)))
        }
    }
}
