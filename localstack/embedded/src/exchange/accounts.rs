//! Invented accounts, derived from a seed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// Most accounts of one exchange: enough for the benchmarks.
pub const MAX_ACCOUNTS: u32 = 200_000;

/// Domain separation of the derivation.
const DOMAIN: &[u8] = b"tercet sample exchange, accounts, v1";
/// Units of the smallest decimal place in one coin.
const COIN: u64 = 100_000_000;
/// The middle of the balances: half of the accounts have less.
const MEDIAN: u64 = 5 * COIN;
/// No derived balance is above this.
const CEILING: u64 = 50_000 * COIN;
/// This account has exactly nothing.
const POOR: u32 = 3;
/// This account has this much: large, and not a round number.
const RICH: (u32, u64) = (5, 4_821 * COIN + 1);
/// Account numbers are 9 digits: this and up.
const FIRST_UID: u64 = 400_000_000;
/// A prime, so that stepping by anything smaller visits each number below it once.
const UIDS: u64 = 9_999_991;

/// An amount of coins with 8 decimal places; written and stored as a decimal such as `21.22841560`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Amount(u64);

impl Amount {
    /// An amount from its number of smallest units (10^-8 coins).
    pub const fn from_units(units: u64) -> Amount {
        Amount(units)
    }

    /// The number of smallest units (10^-8 coins).
    pub const fn units(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08}", self.0 / COIN, self.0 % COIN)
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> String {
        amount.to_string()
    }
}

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Amount, String> {
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let parsed = text
            .split_once('.')
            .filter(|(whole, part)| digits(whole) && digits(part) && part.len() == 8)
            .and_then(|(whole, part)| {
                whole.parse::<u64>().ok()?.checked_mul(COIN)?.checked_add(part.parse().ok()?)
            });
        parsed.map(Amount).ok_or_else(|| format!("{text:?} is not an amount with 8 decimal places"))
    }
}

/// One account of the sample exchange.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its place in the list, from 0.
    pub index: u32,
    /// The key that its owner sends in `X-MBX-APIKEY`: 64 letters and digits.
    pub api_key: String,
    /// The key with which its owner signs requests: 64 letters and digits. Empty in files of older versions.
    #[serde(default)]
    pub api_secret: String,
    /// Its number, 9 digits, unique in the list.
    pub uid: u64,
    /// Its free balance in ETH: the value that is proven.
    pub eth_free: Amount,
    /// Its free balance in BNB, beside it in the answer.
    pub bnb_free: Amount,
}

impl Account {
    /// The commission on its orders, in basis points: a public trait by which accounts can be told apart. Ten accounts
    /// of each kind in turn, so that a few providers are enough for a group.
    pub fn maker_commission(&self) -> u32 {
        if (self.index / 10).is_multiple_of(2) { 15 } else { 10 }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("index", &self.index).finish_non_exhaustive()
    }
}

/// The first `count` accounts of a seed. A larger count only adds accounts.
pub(super) fn derive(count: u32, seed: u64) -> Result<Vec<Account>, Error> {
    if count == 0 || count > MAX_ACCOUNTS {
        return Err(Error::Accounts(count));
    }
    let mut stream = Stream::new(seed, u32::MAX);
    let (start, step) = (stream.below(UIDS), 1 + stream.below(UIDS - 1));
    Ok((0..count)
        .map(|index| {
            let mut stream = Stream::new(seed, index);
            let api_key = (0..64).map(|_| stream.letter_or_digit()).collect();
            let eth_free = match index {
                POOR => 0,
                i if i == RICH.0 => RICH.1,
                _ => stream.balance(),
            };
            let bnb_free = stream.balance() / 8;
            // Behind everything else: accounts of older versions stay as they were.
            let api_secret = (0..64).map(|_| stream.letter_or_digit()).collect();
            Account {
                index,
                api_key,
                api_secret,
                uid: FIRST_UID + (start + u64::from(index) * step) % UIDS,
                eth_free: Amount(eth_free),
                bnb_free: Amount(bnb_free),
            }
        })
        .collect())
}

/// Pseudorandom bytes: SHA-256 in counter mode over domain, seed and account.
struct Stream {
    start: Sha256,
    block: [u8; 32],
    used: usize,
    counter: u32,
}

impl Stream {
    fn new(seed: u64, account: u32) -> Stream {
        let start = Sha256::new().chain_update(DOMAIN).chain_update(seed.to_le_bytes());
        let start = start.chain_update(account.to_le_bytes());
        Stream { start, block: [0; 32], used: 32, counter: 0 }
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            self.block = self.start.clone().chain_update(self.counter.to_le_bytes()).finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `bound`; with 64 bits the bias of the remainder does not matter for sample data.
    fn below(&mut self, bound: u64) -> u64 {
        self.u64() % bound
    }

    fn letter_or_digit(&mut self) -> char {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        loop {
            // Without the largest values every character is equally likely.
            let byte = self.byte();
            if byte < 248 {
                return char::from(ALPHABET[usize::from(byte % 62)]);
            }
        }
    }

    /// A heavy-tailed amount: the median times the ratio of two uniform numbers.
    fn balance(&mut self) -> u64 {
        let above = u128::from(self.u64() >> 32) + 1;
        let below = u128::from(self.u64() >> 32) + 1;
        let amount = u128::from(MEDIAN) * above / below;
        u64::try_from(amount).unwrap_or(CEILING).min(CEILING)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_accounts_and_more_of_them() {
        let few = derive(25, 7).unwrap();
        assert_eq!(derive(25, 7).unwrap(), few);
        assert_eq!(derive(100, 7).unwrap()[..25], few);
        assert!(derive(25, 8).unwrap().iter().zip(&few).all(|(a, b)| a.api_key != b.api_key));
        // Demonstrations and documents show these values: a change of the derivation must be noticed.
        assert_eq!(few[3].eth_free.to_string(), "0.00000000");
        assert_eq!(few[5].eth_free.to_string(), "4821.00000001");
    }

    #[test]
    fn accounts_are_distinct_and_well_formed() {
        let accounts = derive(20_000, 1).unwrap();
        let uids: HashSet<u64> = accounts.iter().map(|a| a.uid).collect();
        let keys: HashSet<&str> = accounts.iter().map(|a| a.api_key.as_str()).collect();
        assert_eq!((uids.len(), keys.len()), (accounts.len(), accounts.len()));
        for account in &accounts {
            assert!(
                account.api_key.len() == 64 && account.api_key.bytes().all(|b| b.is_ascii_alphanumeric())
            );
            assert_eq!(account.uid.to_string().len(), 9);
            assert!(account.eth_free.units() < 1 << 48, "fits the sample survey's column");
        }
    }

    #[test]
    fn balances_spread_over_orders_of_magnitude() {
        let mut units: Vec<u64> = derive(10_000, 1).unwrap().iter().map(|a| a.eth_free.units()).collect();
        units.sort_unstable();
        assert!((4 * COIN..6 * COIN).contains(&units[5_000]), "median {}", units[5_000]);
        assert!(units[500] < COIN && units[9_500] > 40 * COIN && units[9_990] > 1_000 * COIN);
    }

    #[test]
    fn counts_out_of_range_are_refused() {
        assert!(matches!(derive(0, 1), Err(Error::Accounts(0))));
        assert!(matches!(derive(MAX_ACCOUNTS + 1, 1), Err(Error::Accounts(_))));
    }

    #[test]
    fn amounts_round_trip_and_malformed_ones_are_refused() {
        for units in [0, 1, COIN - 1, COIN, 4_821 * COIN + 1, u64::MAX] {
            let text = Amount(units).to_string();
            assert_eq!(Amount::try_from(text.clone()), Ok(Amount(units)), "{text}");
        }
        for text in [
            "",
            "1",
            "1.",
            ".00000000",
            "1.0000000",
            "1.000000000",
            "+1.00000000",
            "1e8.00000000",
            "-1.00000000",
            "184467440737.09551616",
        ] {
            assert!(Amount::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
