//! The AWS SDK as the notary uses it: credentials from its ordinary chain, TLS by rustls on ring.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The configuration that clients of the SDK are made from. `AWS_ENDPOINT_URL` points them somewhere else (LocalStack).
pub async fn load() -> SdkConfig {
    let ring = Provider::Rustls(CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(ring).build_https();
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(40))
        .build();
    aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(patience).load().await
}
