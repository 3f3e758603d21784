//! The API's listener: how many connections strangers may hold, and for how long.
//!
//! A connection is a stranger's until a request on it has shown a valid ticket. Strangers' connections are capped: when one
//! more comes, the oldest is closed. So a stranger who holds many unfinished connections keeps out nobody who finishes a
//! request. Each head has a deadline, and each connection a small buffer; bodies have theirs in [`super::body`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Bounds of the API's connections.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections of which no request has shown a valid ticket yet.
    pub strangers: usize,
    /// All connections.
    pub connections: usize,
    /// From a connection's start, or the last answer on it, to the end of the next request's head.
    pub head: Duration,
    /// Largest head of a request in bytes, and so the memory that a connection can hold.
    pub buffer: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { strangers: 1024, connections: 8192, head: Duration::from_secs(10), buffer: 16 * 1024 }
    }
}

/// The open connections: strangers' by age.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: usize,
    strangers: BTreeMap<u64, CancellationToken>,
}

/// One connection, as its requests see it.
#[derive(Debug, Clone)]
pub struct Connection {
    number: u64,
    open: Arc<Mutex<Open>>,
}

impl Connection {
    /// A request on it has shown a valid ticket: it is not closed for a newer stranger until what this gives is dropped, at the
    /// request's end. A ticket shown once would else keep a place for ever.
    pub fn known(&self) -> Known {
        let close = lock(&self.open).strangers.remove(&self.number);
        Known { connection: self.clone(), close }
    }
}

/// A connection that is no stranger's while this lives.
#[derive(Debug)]
pub struct Known {
    connection: Connection,
    close: Option<CancellationToken>,
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            lock(&self.connection.open).strangers.insert(self.connection.number, close);
        }
    }
}

/// A place among the connections, given back when dropped.
struct Place(Connection);

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.0.open);
        open.all -= 1;
        open.strangers.remove(&self.0.number);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a place for a new connection; the oldest stranger's makes room. None: all places are taken by known ones.
fn enter(open: &Arc<Mutex<Open>>, bounds: &Bounds, close: &CancellationToken) -> Option<Place> {
    let mut state = lock(open);
    if state.strangers.len() >= bounds.strangers || state.all >= bounds.connections {
        let (_, oldest) = state.strangers.pop_first()?;
        oldest.cancel();
    }
    let number = state.next;
    state.next += 1;
    state.all += 1;
    state.strangers.insert(number, close.clone());
    Some(Place(Connection { number, open: open.clone() }))
}

/// Serves until `stop`; then open requests are answered.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    let open = Arc::new(Mutex::new(Open::default()));
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or the caller is gone already.
                Err(e) => {
                    tracing::warn!(error = %e, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let close = CancellationToken::new();
        let Some(place) = enter(&open, &bounds, &close) else { continue };
        connection(stream, place, router.clone(), &bounds, close, &graceful);
    }
    graceful.shutdown().await;
}

fn connection(
    stream: TcpStream,
    place: Place,
    router: Router,
    bounds: &Bounds,
    close: CancellationToken,
    graceful: &GracefulShutdown,
) {
    let _slower = stream.set_nodelay(true);
    let seen = place.0.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(seen.clone());
        let router = router.clone();
        async move {
            let answer: Response =
                router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(bounds.buffer)
        .serve_connection(TokioIo::new(stream), service);
    let served = graceful.watch(served);
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            // A connection that breaks is its caller's business.
            _ended = served => {}
            () = close.cancelled() => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stranger_makes_room_and_known_ones_stay() {
        let bounds = Bounds { strangers: 2, connections: 3, ..Bounds::default() };
        let open = Arc::new(Mutex::new(Open::default()));
        let tokens: Vec<_> = (0..6).map(|_| CancellationToken::new()).collect();
        let first = enter(&open, &bounds, &tokens[0]).unwrap();
        let upload = first.0.known();
        let _second = enter(&open, &bounds, &tokens[1]).unwrap();
        let third = enter(&open, &bounds, &tokens[2]).unwrap();
        assert!(tokens[..3].iter().all(|t| !t.is_cancelled()));
        let fourth = enter(&open, &bounds, &tokens[3]).unwrap();
        assert!(tokens[1].is_cancelled() && !tokens[0].is_cancelled(), "the oldest stranger went");
        let others = (third.0.known(), fourth.0.known());
        assert!(enter(&open, &bounds, &tokens[4]).is_none(), "known ones are not closed");
        drop(upload);
        assert!(enter(&open, &bounds, &tokens[5]).is_some());
        assert!(tokens[0].is_cancelled(), "after its upload it is a stranger again");
        drop(others);
    }
}
