//! Asks the deployment itself: the federation's document, names, certificates, ports, readiness, clock.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::{ServerName, UnixTime};
use tercet_protocol::operator::{Federation, OperatorManifest};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{CERTIFICATE_DAYS, Finding, clocks, http_date};
use crate::http::{Http, join};

/// Longest wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at the party of the operator `ours` in `federation`. `now` is in Unix seconds.
pub async fn check(http: &Http, federation: &Federation, ours: &OperatorManifest, now: u64) -> Vec<Finding> {
    let mut findings = vec![document(federation, ours)];
    for operator in &federation.operators {
        findings.push(name(&operator.operator, &operator.url));
    }
    findings.push(name("the coordinator", &federation.coordinator.url));
    let Ok(base) = http.base(&ours.url) else {
        findings.push(Finding::differs(
            "api",
            format!("{} is no address over HTTPS", ours.url),
            "tercet operator init with a URL that begins with https://",
        ));
        return findings;
    };
    if base.scheme() == "https" {
        findings.push(certificate(&base, now).await);
    }
    findings.extend(api(http, &base, federation, ours, now).await);
    findings.push(peer_link(&ours.peer_address).await);
    findings
}

/// The document has the operators' signatures, and agrees with this party's own folder.
fn document(federation: &Federation, ours: &OperatorManifest) -> Finding {
    const CHECK: &str = "federation";
    let again = "tercet operator publish, then tercet federation assemble with the new manifest, and give it to everybody";
    if let Err(e) = federation.verify() {
        return Finding::differs(CHECK, e.to_string(), again);
    }
    let Some(listed) = federation.operators.iter().find(|m| m.identity == ours.identity) else {
        return Finding::differs(CHECK, "this operator's identity key is not in it", again);
    };
    let same = |m: &OperatorManifest| {
        (m.sealing, m.peer_keys(), m.url.clone(), m.peer_address.clone(), m.engine, m.account.clone())
    };
    Finding::of(
        CHECK,
        same(listed) == same(ours),
        "three signed manifests of different operators; ours is compared with the folder of keys",
        again,
    )
}

fn name(who: &str, url: &str) -> Finding {
    const CHECK: &str = "dns";
    let Some((host, port)) =
        Url::parse(url).ok().and_then(|u| Some((u.host_str()?.to_owned(), u.port_or_known_default()?)))
    else {
        return Finding::differs(
            CHECK,
            format!("the address of {who}, {url}, names no host"),
            "publish another URL",
        );
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match (host.as_str(), port).to_socket_addrs() {
        Ok(found) => {
            let found: Vec<String> = found.map(|a| a.ip().to_string()).collect();
            Finding::good(CHECK, format!("{host} of {who} is {}", found.join(", ")))
        }
        Err(e) => Finding::differs(
            CHECK,
            format!("{host} of {who} has no address: {e}"),
            "make the domain's record point to what terraform output domain_target prints, or give Terraform zone_id",
        ),
    }
}

/// The chain that the server shows is valid now, and will be in [`CERTIFICATE_DAYS`].
async fn certificate(base: &Url, now: u64) -> Finding {
    const CHECK: &str = "certificate";
    let renew =
        "renew the certificate; one of ACM renews itself while its DNS record for validation is there";
    let (Some(host), Some(port)) = (base.host_str(), base.port_or_known_default()) else {
        return Finding::unknown(CHECK, "the address names no host");
    };
    let Ok(server) = ServerName::try_from(host.to_owned()) else {
        return Finding::unknown(CHECK, format!("{host} is no name that a certificate can have"));
    };
    let roots = Arc::new(rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    let connect = async {
        let stream = TcpStream::connect((host, port)).await?;
        let config =
            rustls::ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        TlsConnector::from(Arc::new(config)).connect(server.clone(), stream).await
    };
    let stream = match tokio::time::timeout(PATIENCE, connect).await {
        Err(_) => return Finding::unknown(CHECK, format!("{host}:{port} does not answer")),
        // A connection that cannot be made is told by the check of the API.
        Ok(Err(e)) if e.kind() != std::io::ErrorKind::InvalidData => {
            return Finding::unknown(CHECK, format!("{host}:{port} cannot be reached: {e}"));
        }
        Ok(Err(e)) => {
            return Finding::differs(CHECK, format!("{host} shows no valid certificate: {e}"), renew);
        }
        Ok(Ok(stream)) => stream,
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let Some((first, rest)) = chain.split_first() else {
        return Finding::unknown(CHECK, format!("{host} shows no certificate"));
    };
    let Ok(verifier) = WebPkiServerVerifier::builder(roots).build() else {
        return Finding::unknown(CHECK, "there are no roots to check it with");
    };
    let later = UnixTime::since_unix_epoch(Duration::from_secs(now + CERTIFICATE_DAYS * 86_400));
    let says = format!("{host}: valid, looked at for {CERTIFICATE_DAYS} days ahead");
    Finding::of(CHECK, verifier.verify_server_cert(first, rest, &server, &[], later).is_ok(), says, renew)
}

/// The public API answers, agrees with the federation, and shows nothing else.
async fn api(
    http: &Http,
    base: &Url,
    federation: &Federation,
    ours: &OperatorManifest,
    now: u64,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let look = "look at the party's log: aws logs tail /tercet/NAME, kubectl logs, or docker compose logs";
    let alive = match http.look(join(base, &["healthz"])).await {
        Ok(alive) => alive,
        Err(e) => {
            findings.push(Finding::differs("api", format!("{base} does not answer: {e}"), look));
            return findings;
        }
    };
    findings.push(Finding::of(
        "api",
        alive.status == 200,
        format!("/healthz answers {}", alive.status),
        look,
    ));
    if let Some(theirs) = alive.date.as_deref().and_then(http_date) {
        findings.push(clocks("clock", "the party", theirs, now));
    } else {
        findings.push(Finding::unknown("clock", "the answer has no date"));
    }
    findings.push(match http.look(join(base, &["readyz"])).await {
        Ok(ready) => {
            Finding::of("ready", ready.status == 200, format!("/readyz answers {}", ready.status), look)
        }
        Err(e) => Finding::unknown("ready", e),
    });
    findings.push(match http.look(join(base, &["metrics"])).await {
        Ok(metrics) => Finding::of(
            "metrics",
            metrics.status == 404,
            format!("/metrics at the public address answers {}", metrics.status),
            "give metrics_listen an address of its own, and let nothing else answer at this one",
        ),
        Err(e) => Finding::unknown("metrics", e),
    });
    let listed = federation.operators.iter().find(|m| m.identity == ours.identity);
    findings.push(match http.look(join(base, &["v1", "operator"])).await {
        Ok(answer) => {
            let served: Option<OperatorManifest> = serde_json::from_slice(&answer.body).ok();
            Finding::of(
                "manifest",
                served.is_some() && served.as_ref() == listed,
                "the manifest that the party serves is compared with the federation's",
                "give the party the same federation.json: Terraform copies it from the folder `documents`",
            )
        }
        Err(e) => Finding::unknown("manifest", e),
    });
    findings
}

/// The peer link is for the two peers: this machine is none.
async fn peer_link(address: &str) -> Finding {
    const CHECK: &str = "peer-link";
    let loopback = address.to_socket_addrs().is_ok_and(|mut a| a.all(|a| a.ip().is_loopback()));
    if loopback {
        return Finding::unknown(
            CHECK,
            format!("{address} is on this machine, from where it can be reached"),
        );
    }
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Finding::differs(
            CHECK,
            format!("{address} lets this machine connect, which is no peer"),
            "set peer_cidrs to the two other operators' egress_cidrs; run this where no peer's address is yours",
        ),
        Ok(Err(_)) | Err(_) => Finding::good(CHECK, format!("{address} lets no stranger connect")),
    }
}
