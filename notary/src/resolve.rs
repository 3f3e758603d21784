//! Names: resolved by several resolvers with caches of their own, and believed where all of them agree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::xfer::Protocol;

use crate::address::is_global;

/// Number of times that the resolvers are asked before they count as disagreeing. Large sites give out a few of many
/// addresses at a time: an answer of a resolver in any round counts.
const ROUNDS: usize = 3;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a name leads to no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// A resolver did not answer, or knows no address.
    #[error("a resolver knows no address of {0}")]
    Unknown(String),
    /// The resolvers have no address in common.
    #[error("the notary's resolvers name no common address for {0}")]
    Disagree(String),
    /// The common addresses are not of the public Internet.
    #[error("{0} has no address on the public Internet")]
    NotGlobal(String),
}

impl LookupError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "name-unknown",
            Self::Disagree(_) => "resolvers-disagree",
            Self::NotGlobal(_) => "address-not-global",
        }
    }
}

/// One resolver.
pub trait Lookup: Send + Sync {
    /// All addresses of a name; empty if there are none or no answer comes.
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<IpAddr>>;
}

/// A DNS server, asked without a cache of our own.
struct Dns(TokioResolver);

impl Lookup for Dns {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            // The trailing dot keeps search domains away.
            let asked = self.0.lookup_ip(format!("{name}."));
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(found)) => found.iter().collect(),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a resolver has no answer");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            }
        })
    }
}

/// The resolvers of a notary, and the names that it does not ask them about.
#[derive(Clone)]
pub struct Resolver {
    resolvers: Arc<Vec<Box<dyn Lookup>>>,
    mapped: Arc<BTreeMap<String, SocketAddr>>,
}

/// The servers that a notary connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// Addresses that all resolvers name.
    pub addresses: Vec<SocketAddr>,
}

impl Resolver {
    /// Asks these DNS servers.
    pub fn dns(servers: &[SocketAddr], mapped: BTreeMap<String, SocketAddr>) -> Self {
        let resolver = |server: &SocketAddr| {
            let mut config = ResolverConfig::new();
            config.add_name_server(NameServerConfig::new(*server, Protocol::Udp));
            config.add_name_server(NameServerConfig::new(*server, Protocol::Tcp));
            let mut options = ResolverOpts::default();
            options.cache_size = 0;
            options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
            let provider = TokioConnectionProvider::default();
            let resolver = TokioResolver::builder_with_config(config, provider).with_options(options).build();
            Box::new(Dns(resolver)) as Box<dyn Lookup>
        };
        Self::new(servers.iter().map(resolver).collect(), mapped)
    }

    /// Asks these resolvers; names in `mapped` are taken from there.
    pub fn new(resolvers: Vec<Box<dyn Lookup>>, mapped: BTreeMap<String, SocketAddr>) -> Self {
        Self { resolvers: Arc::new(resolvers), mapped: Arc::new(mapped) }
    }

    /// The names that are taken from the configuration.
    pub fn mapped(&self) -> impl Iterator<Item = &str> {
        self.mapped.keys().map(String::as_str)
    }

    /// The addresses of a server that all resolvers name and that belong to the public Internet.
    pub async fn resolve(&self, name: &str, port: u16) -> Result<Servers, LookupError> {
        if let Some(address) = self.mapped.get(name) {
            return Ok(Servers { addresses: vec![*address] });
        }
        let mut said: Vec<BTreeSet<IpAddr>> = vec![BTreeSet::new(); self.resolvers.len()];
        let mut common = BTreeSet::new();
        for _ in 0..ROUNDS {
            let answers = join_all(self.resolvers.iter().map(|r| r.lookup(name))).await;
            for (said, answer) in said.iter_mut().zip(answers) {
                said.extend(answer);
            }
            common = said.split_first().map_or_else(BTreeSet::new, |(first, others)| {
                first.iter().filter(|a| others.iter().all(|o| o.contains(a))).copied().collect()
            });
            if !common.is_empty() {
                break;
            }
        }
        if common.is_empty() {
            let silent = said.iter().any(BTreeSet::is_empty) || said.is_empty();
            let error = if silent { LookupError::Unknown } else { LookupError::Disagree };
            return Err(error(name.to_owned()));
        }
        let global = common.into_iter().filter(|a| is_global(*a));
        let addresses: Vec<_> = global.map(|a| SocketAddr::new(a, port)).collect();
        match addresses.is_empty() {
            true => Err(LookupError::NotGlobal(name.to_owned())),
            false => Ok(Servers { addresses }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Answers with one list after the other, then with the last again.
    struct Says(Mutex<Vec<Vec<&'static str>>>);

    impl Lookup for Says {
        fn lookup<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
            let mut lists = self.0.lock().unwrap();
            let list = if lists.len() > 1 { lists.remove(0) } else { lists[0].clone() };
            Box::pin(async move { list.iter().map(|a| a.parse().unwrap()).collect() })
        }
    }

    fn resolver(all: &[&[&[&'static str]]]) -> Resolver {
        let says = |lists: &&[&[&'static str]]| {
            Box::new(Says(Mutex::new(lists.iter().map(|l| l.to_vec()).collect()))) as Box<dyn Lookup>
        };
        Resolver::new(all.iter().map(says).collect(), BTreeMap::new())
    }

    async fn ask(all: &[&[&[&'static str]]]) -> Result<Vec<String>, &'static str> {
        let found = resolver(all).resolve("a.test", 443).await.map_err(|e| e.code())?;
        Ok(found.addresses.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn only_what_all_resolvers_name_counts() {
        let common = ask(&[&[&["1.1.1.1", "8.8.8.8"]], &[&["8.8.8.8", "9.9.9.9"]]]).await;
        assert_eq!(common, Ok(vec!["8.8.8.8:443".to_owned()]));
        assert_eq!(ask(&[&[&["1.1.1.1"]], &[&["9.9.9.9"]]]).await, Err("resolvers-disagree"));
        assert_eq!(ask(&[&[&["1.1.1.1"]], &[&[]]]).await, Err("name-unknown"));
        assert_eq!(ask(&[]).await, Err("name-unknown"));
        // One of two resolvers lies: its address is not taken.
        assert_eq!(ask(&[&[&["1.1.1.1"]], &[&["6.6.6.6"]]]).await, Err("resolvers-disagree"));
        // A site that gives out some of its addresses at a time.
        let rotating = ask(&[&[&["1.1.1.1"], &["8.8.8.8"]], &[&["9.9.9.9"], &["1.1.1.1"]]]).await;
        assert_eq!(rotating, Ok(vec!["1.1.1.1:443".to_owned()]));
    }

    #[tokio::test]
    async fn private_addresses_are_not_connected_to_even_if_all_name_them() {
        for private in
            ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:127.0.0.1"]
        {
            assert_eq!(ask(&[&[&[private]], &[&[private]]]).await, Err("address-not-global"), "{private}");
        }
        let mixed = ask(&[&[&["127.0.0.1", "8.8.8.8"]], &[&["8.8.8.8", "127.0.0.1"]]]).await;
        assert_eq!(mixed, Ok(vec!["8.8.8.8:443".to_owned()]));
    }
}
