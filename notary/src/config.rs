//! Configuration: arguments, or environment variables of the same meaning; no setting ever holds a secret.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tercet_protocol::ids::PublicKey;

use crate::gate::Limits;
use crate::surveys::SurveysPlace;

/// A name and the address that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The server's name.
    pub name: String,
    /// A loopback address.
    pub address: SocketAddr,
}

impl FromStr for Mapping {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WANT: &str = "write NAME=ADDRESS:PORT, such as api.exchange.test=127.0.0.1:8443";
        let (name, address) = text.split_once('=').ok_or(WANT)?;
        let address: SocketAddr = address.parse().map_err(|_| WANT)?;
        if name.is_empty() {
            return Err(WANT);
        }
        if !address.ip().is_loopback() {
            return Err("a name is mapped to a loopback address only: this is for development");
        }
        Ok(Self { name: name.to_ascii_lowercase(), address })
    }
}

/// The notary's settings.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address to listen on. Port 0 picks a free one.
    #[arg(long, env = "TERCET_NOTARY_LISTEN", default_value = "127.0.0.1:8090", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// The notary's key: a file with 64 hexadecimal digits that only its owner can read, or the ARN of a secret.
    #[arg(long, env = "TERCET_NOTARY_KEY", value_name = "FILE|ARN")]
    pub key: String,
    /// Folder of the surveys that the operator approved, one .json each, or s3://BUCKET/PREFIX.
    #[arg(long, env = "TERCET_NOTARY_SURVEYS", value_name = "DIR|S3")]
    pub surveys: SurveysPlace,
    /// A key that the coordinator signs tickets with. Two during a rotation.
    #[arg(
        long = "coordinator-key",
        env = "TERCET_NOTARY_COORDINATOR_KEYS",
        value_delimiter = ',',
        required = true,
        value_name = "KEYHEX"
    )]
    pub coordinator_keys: Vec<PublicKey>,
    /// A DNS server; at least two, of different operators. Only an address that all of them name is connected to.
    #[arg(
        long = "resolver",
        env = "TERCET_NOTARY_RESOLVERS",
        value_delimiter = ',',
        default_values = ["1.1.1.1:53", "9.9.9.9:53"],
        value_name = "ADDRESS:PORT"
    )]
    pub resolvers: Vec<SocketAddr>,
    /// For development: connect to this loopback address when the survey's server has this name.
    #[arg(
        long = "resolve",
        env = "TERCET_NOTARY_RESOLVE",
        value_delimiter = ',',
        value_name = "NAME=ADDRESS:PORT"
    )]
    pub mappings: Vec<Mapping>,
    /// Sessions at a time.
    #[arg(long, env = "TERCET_NOTARY_SESSIONS", default_value_t = Limits::default().sessions)]
    pub sessions: usize,
    /// Sessions at a time of one address.
    #[arg(long, env = "TERCET_NOTARY_SESSIONS_BY_ADDRESS", default_value_t = Limits::default().by_address)]
    pub sessions_by_address: usize,
    /// Seconds of one session.
    #[arg(long, env = "TERCET_NOTARY_SECONDS", default_value_t = Limits::default().seconds,
        value_parser = clap::value_parser!(u64).range(1..=tercet_tls_session::MAX_SESSION_SECONDS))]
    pub seconds: u64,
    /// A load balancer in front appends the provider's address to X-Forwarded-For. Without one, anybody could.
    #[arg(long, env = "TERCET_NOTARY_FORWARDED", value_parser = clap::builder::FalseyValueParser::new())]
    pub forwarded: bool,
    /// The notary's own certificate chain (PEM), where no load balancer ends TLS in front of it.
    #[arg(long, env = "TERCET_NOTARY_CERTIFICATE", requires = "certificate_key", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, env = "TERCET_NOTARY_CERTIFICATE_KEY", requires = "certificate", value_name = "FILE")]
    pub certificate_key: Option<PathBuf>,
}

impl Config {
    /// Bounds of sessions.
    pub fn limits(&self) -> Limits {
        Limits {
            sessions: self.sessions,
            by_address: self.sessions_by_address,
            seconds: self.seconds,
            ..Limits::default()
        }
    }

    /// Names that are not asked of resolvers.
    pub fn mapped(&self) -> BTreeMap<String, SocketAddr> {
        self.mappings.iter().map(|m| (m.name.clone(), m.address)).collect()
    }

    /// Checks the rules that the syntax alone does not express.
    pub fn check(&self) -> Result<(), String> {
        let mut resolvers = self.resolvers.clone();
        resolvers.sort();
        resolvers.dedup();
        if resolvers.len() < 2 {
            return Err(
                "give at least two different resolvers: one alone could lead every session astray".into()
            );
        }
        if self.sessions == 0 || self.sessions_by_address == 0 {
            return Err("a notary has at least one session, and one by address".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_to_loopback_only() {
        let mapping: Mapping = "API.exchange.test=127.0.0.1:8443".parse().unwrap();
        assert_eq!(mapping.name, "api.exchange.test");
        for bad in ["", "a", "a=", "=127.0.0.1:1", "a=127.0.0.1", "a=10.0.0.1:443", "a=1.1.1.1:443"] {
            assert!(bad.parse::<Mapping>().is_err(), "{bad}");
        }
    }
}
