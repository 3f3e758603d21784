//! `party-host healthcheck`: whether the party beside it is alive. A container without a shell has no other way to ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a party does not count as alive.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// No answer in time.
    #[error("http://{at}/healthz does not answer within {seconds} s", at = .0, seconds = PATIENCE.as_secs())]
    Silent(SocketAddr),
    /// No connection.
    #[error("http://{address}/healthz does not answer: {source}")]
    Unreachable {
        /// The address that was tried.
        address: SocketAddr,
        /// Why not.
        source: hyper_util::client::legacy::Error,
    },
    /// Another answer than 200.
    #[error("http://{0}/healthz answers {1}")]
    Unwell(SocketAddr, http::StatusCode),
    /// The address cannot be asked.
    #[error("a health check needs a fixed port: set `listen` to one other than 0")]
    NoPort,
}

/// Asks the party that listens on `listen` for its liveness.
pub async fn check(listen: SocketAddr) -> Result<(), HealthError> {
    if listen.port() == 0 {
        return Err(HealthError::NoPort);
    }
    let mut address = listen;
    // What listens on all addresses is asked on loopback.
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let uri =
        http::Uri::builder().scheme("http").authority(address.to_string()).path_and_query("/healthz").build();
    let uri = uri.map_err(|_| HealthError::NoPort)?;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    match tokio::time::timeout(PATIENCE, client.get(uri)).await {
        Err(_) => Err(HealthError::Silent(address)),
        Ok(Err(source)) => Err(HealthError::Unreachable { address, source }),
        Ok(Ok(answer)) if answer.status() == http::StatusCode::OK => Ok(()),
        Ok(Ok(answer)) => Err(HealthError::Unwell(address, answer.status())),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn only_an_ok_counts_as_alive() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_unspecified());
        let well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let says = well.clone();
        let answer = move || async move {
            match says.load(std::sync::atomic::Ordering::SeqCst) {
                true => http::StatusCode::OK,
                false => http::StatusCode::SERVICE_UNAVAILABLE,
            }
        };
        let server =
            tokio::spawn(
                async move { axum::serve(listener, Router::new().route("/healthz", get(answer))).await },
            );
        check(address).await.unwrap();
        well.store(false, std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(check(address).await, Err(HealthError::Unwell(..))));
        server.abort();
        let _ended = server.await;
        assert!(matches!(check(address).await, Err(HealthError::Unreachable { .. })));
        assert!(matches!(check("127.0.0.1:0".parse().unwrap()).await, Err(HealthError::NoPort)));
    }
}
