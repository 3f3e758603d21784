//! Listening on loopback, accepting connections, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;

/// Connections served at a time; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Longest time that running requests may take to finish once the server was told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// Pause after a failed `accept` (out of file descriptors), so that it is not retried in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running service. Dropping it stops the service too, without waiting for that.
#[derive(Debug)]
#[must_use = "dropping it stops the service"]
pub struct Server {
    addr: SocketAddr,
    scheme: &'static str,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address as a URL without a path, such as `http://127.0.0.1:4566`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Stops accepting, lets running requests finish (for three seconds at most) and closes everything.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        self.ended().await;
    }

    /// Completes when the service has ended: by itself that only happens after a failure.
    pub async fn ended(&mut self) {
        // A finished task may have been awaited before, which must not happen twice.
        if !self.task.is_finished()
            && let Err(e) = (&mut self.task).await
        {
            tracing::error!(error = %e, "the server ended abnormally");
        }
    }

    /// Runs `serve`, which must end once the receiver it is given resolves.
    pub(crate) fn spawn<F>(
        addr: SocketAddr,
        scheme: &'static str,
        serve: impl FnOnce(oneshot::Receiver<()>) -> F,
    ) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(stopped));
        Server { addr, scheme, stop: Some(stop), task }
    }
}

/// Binds a loopback address; port 0 picks a free one.
pub(crate) async fn bind(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    if !addr.ip().is_loopback() {
        return Err(Error::NotLoopback(addr));
    }
    let listener = TcpListener::bind(addr).await.map_err(|source| Error::Bind { addr, source })?;
    let local = listener.local_addr().map_err(|source| Error::Bind { addr, source })?;
    Ok((listener, local))
}

/// Accepts connections and hands each to `connection` until `stopped` resolves; then lets them finish.
///
/// `connection` gets a [`Watcher`] to wrap its HTTP connection in, which is how a connection hears that it
/// should end after the request it is serving.
pub(crate) async fn accept<C, F>(listener: TcpListener, mut stopped: oneshot::Receiver<()>, connection: C)
where
    C: Fn(TcpStream, Watcher) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Reap finished connections, or the set would grow with every one ever served.
        while connections.try_join_next().is_some() {}
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            // An error means the `Server` was dropped, which is a stop as well.
            _ = &mut stopped => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(e) = stream.set_nodelay(true) {
                    tracing::debug!(error = %e, "TCP_NODELAY");
                }
                let served = connection(stream, graceful.watcher());
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(e) => {
                tracing::warn!(error = %e, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and are cut off");
    }
    connections.shutdown().await;
}
