//! `tercet operator doctor`: looks at a party's deployment from outside, changes nothing, and reports every
//! difference from its needs.
//!
//! [`network`] asks the deployment itself, and [`aws`] asks AWS. A question that nobody answers is a finding of its own
//! ([`State::Unknown`]): it is neither good nor bad.

#[cfg(feature = "cloud")]
pub mod aws;
pub mod network;
#[cfg(feature = "cloud")]
mod signed;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files;

/// Largest file that describes a deployment.
const MAX_DEPLOYMENT: usize = 256 * 1024;
/// Days before its end from which a certificate is a finding.
pub const CERTIFICATE_DAYS: u64 = 30;
/// Seconds by which two clocks may differ. AWS refuses requests whose time is five minutes off, and tickets end by the clock.
pub const CLOCK_SECONDS: u64 = 30;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it has to be.
    Good,
    /// Not as it has to be.
    Differs,
    /// Nobody answered, or it was not asked.
    Unknown,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's stable name.
    pub check: &'static str,
    /// The result.
    pub state: State,
    /// The observation, for people.
    pub says: String,
    /// The command or deed that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// As it has to be.
    pub(crate) fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Good, says: says.into(), mend: None }
    }

    /// A difference, and the way to mend it.
    pub(crate) fn differs(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Differs, says: says.into(), mend: Some(mend.into()) }
    }

    /// Nobody answered, or it was not asked.
    pub(crate) fn unknown(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Unknown, says: says.into(), mend: None }
    }

    /// Good or not, by a condition.
    pub(crate) fn of(check: &'static str, good: bool, says: impl Into<String>, mend: &str) -> Self {
        if good { Self::good(check, says) } else { Self::differs(check, says, mend) }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One for each check, in the order in which they were made.
    pub findings: Vec<Finding>,
}

impl Report {
    /// True if nothing differs.
    pub fn healthy(&self) -> bool {
        self.findings.iter().all(|f| f.state != State::Differs)
    }

    /// The report for people: a line for each check, and below it the way to mend a difference.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for f in &self.findings {
            let mark = match f.state {
                State::Good => "good    ",
                State::Differs => "DIFFERS ",
                State::Unknown => "unknown ",
            };
            // Writing to a string does not fail.
            let _ = writeln!(out, "{mark} {}: {}", f.check, f.says);
            if let Some(mend) = &f.mend {
                let _ = writeln!(out, "         to mend it: {mend}");
            }
        }
        let differs = self.findings.iter().filter(|f| f.state == State::Differs).count();
        let unknown = self.findings.iter().filter(|f| f.state == State::Unknown).count();
        let _ = writeln!(out, "{} checks, {differs} differ, {unknown} unknown", self.findings.len());
        out
    }
}

/// A deployment on AWS as Terraform made it: the output of `terraform output -json doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The operator's account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// The bucket's policy, as JSON text.
    pub bucket_policy: String,
    /// The bucket's key at rest.
    pub storage_key: String,
    /// Days that old versions are kept.
    pub noncurrent_days: u64,
    /// KMS keys.
    pub keys: Vec<KmsKey>,
    /// Secrets by the key that they hold.
    pub secrets: BTreeMap<String, String>,
    /// The policy that each secret has, as JSON text.
    pub secret_policy: String,
    /// Names of alarms.
    pub alarms: Vec<String>,
    /// Names of rules of EventBridge.
    pub rules: Vec<String>,
    /// The targets of alarms.
    pub topics: Vec<String>,
    /// The vault of backups, if there is one.
    pub vault: Option<Vault>,
    /// The service, if ECS runs it.
    pub service: Option<Service>,
}

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmsKey {
    /// Its ARN.
    pub arn: String,
    /// Its policy, as JSON text.
    pub policy: String,
}

/// The place of backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Its name.
    pub name: String,
    /// True if copies cannot be deleted before their time.
    pub locked: bool,
}

/// A service of ECS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub name: String,
    /// True if it is to run.
    pub started: bool,
    /// The image, by digest.
    pub image: Option<String>,
    /// The ARN of the API's certificate.
    pub certificate: String,
    /// The API's domain.
    pub domain: String,
}

impl Deployment {
    /// Reads the output of `terraform output -json doctor`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        serde_json::from_str(&files::read_text(path, MAX_DEPLOYMENT)?).map_err(|e| {
            Error::usage(format!(
                "{} does not describe a deployment: {e}; make it with: terraform output -json doctor",
                path.display()
            ))
        })
    }
}

/// The difference of two times in seconds, and whether it is small enough.
fn clocks(check: &'static str, whose: &str, theirs: u64, ours: u64) -> Finding {
    let off = theirs.abs_diff(ours);
    Finding::of(
        check,
        off <= CLOCK_SECONDS,
        format!("the clock of {whose} and this machine's differ by {off} s"),
        "set the clock by NTP, here (timedatectl set-ntp true) or there",
    )
}

/// Seconds since 1970 of an HTTP date.
fn http_date(text: &str) -> Option<u64> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let parsed = time::PrimitiveDateTime::parse(text, format).ok()?;
    u64::try_from(parsed.assume_utc().unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_report_says_what_differs_and_what_mends_it() {
        let mut report = Report { findings: vec![Finding::good("a", "x"), Finding::unknown("b", "y")] };
        assert!(report.healthy(), "what is unknown does not differ");
        report.findings.push(Finding::differs("c", "z", "do this"));
        assert!(!report.healthy());
        let text = report.to_text();
        assert!(text.contains("DIFFERS  c: z\n") && text.contains("to mend it: do this\n"), "{text}");
        assert!(text.ends_with("3 checks, 1 differ, 1 unknown\n"), "{text}");
    }

    #[test]
    fn clocks_may_differ_a_little() {
        assert_eq!(clocks("c", "x", 100, 130).state, State::Good);
        assert_eq!(clocks("c", "x", 131, 100).state, State::Differs);
    }
}
