//! Asks AWS about the deployment, with the operator's own credentials. Every request reads.

use aws_config::SdkConfig;
use serde_json::{Value, json};

use super::signed::{Refused, Signed, element};
use super::{CERTIFICATE_DAYS, Deployment, Finding, Service, Vault, clocks, http_date};
use crate::http::Http;

/// The advice about anything that Terraform made and somebody changed.
const APPLY: &str = "terraform apply, in the folder of the root";

/// Looks at a deployment. `now` is in Unix seconds.
pub async fn check(http: &Http, aws: &SdkConfig, deployment: &Deployment, now: u64) -> Vec<Finding> {
    let look = Look { aws: Signed::new(http, aws, &deployment.region), deployment };
    let mut findings = look.account(now).await;
    if findings.iter().any(|f| f.check == "account" && f.mend.is_some()) {
        // Another account's answers would be findings about nothing.
        return findings;
    }
    findings.extend(look.bucket().await);
    for key in &deployment.keys {
        findings.push(look.key(&key.arn, &key.policy).await);
    }
    for (name, arn) in &deployment.secrets {
        findings.push(look.secret(name, arn).await);
    }
    findings.push(look.alarms().await);
    findings.push(look.rules().await);
    findings.push(match &deployment.vault {
        Some(vault) => look.vault(vault).await,
        None => {
            Finding::differs("backup", "there are no backups", "set backup = { enabled = true } and apply")
        }
    });
    if let Some(service) = &deployment.service {
        findings.push(look.certificate(service, now).await);
        findings.extend(look.service(service).await);
    }
    findings
}

/// The SDK's configuration for the deployment's region, or for `region`.
pub async fn config(region: &str) -> SdkConfig {
    let ring = aws_smithy_http_client::tls::Provider::Rustls(
        aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
    );
    let http = aws_smithy_http_client::Builder::new().tls_provider(ring).build_https();
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http)
        .region(aws_config::Region::new(region.to_owned()))
        .load()
        .await
}

struct Look<'a> {
    aws: Signed<'a>,
    deployment: &'a Deployment,
}

fn unasked(check: &'static str, what: &str, why: &Refused) -> Finding {
    Finding::unknown(check, format!("{what}: {}", why.text))
}

/// Judges S3's answer about one of the bucket's settings.
fn judged(
    check: &'static str,
    answer: Result<String, Refused>,
    says: String,
    good: impl Fn(&str) -> bool,
) -> Finding {
    match answer {
        Ok(text) => Finding::of(check, good(&text), says, APPLY),
        // That there is none is an answer.
        Err(e) if e.code.starts_with("NoSuch") || e.code.ends_with("NotFoundError") => {
            Finding::differs(check, format!("{says}: {}", e.text), APPLY)
        }
        Err(e) => unasked(check, &says, &e),
    }
}

/// Two policies are the same if they are the same but for order and for lists of one, both of which AWS changes.
fn same_policy(a: &str, b: &str) -> bool {
    match (serde_json::from_str(a), serde_json::from_str(b)) {
        (Ok(a), Ok(b)) => plain(a) == plain(b),
        _ => false,
    }
}

fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(plain).collect();
            items.sort_by_key(Value::to_string);
            match items.len() {
                1 => items.swap_remove(0),
                _ => Value::Array(items),
            }
        }
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, plain(v))).collect()),
        other => other,
    }
}

impl Look<'_> {
    /// The credentials are the operator's, and AWS's clock is ours.
    async fn account(&self, now: u64) -> Vec<Finding> {
        let asked = self.aws.query("sts", "Action=GetCallerIdentity&Version=2011-06-15").await;
        let (xml, answer) = match asked {
            Ok(answered) => answered,
            Err(e) => {
                let mend = "aws configure, or aws sso login, with credentials that may read this account";
                return vec![Finding::differs("account", e.text, mend)];
            }
        };
        let account = element(&xml, "Account").unwrap_or("nobody");
        let mut findings = vec![Finding::of(
            "account",
            account == self.deployment.account,
            format!("the credentials are of {account}, the deployment is {}'s", self.deployment.account),
            "use credentials of the deployment's account",
        )];
        if let Some(theirs) = answer.date.as_deref().and_then(http_date) {
            findings.push(clocks("aws-clock", "AWS", theirs, now));
        }
        findings
    }

    /// Policy, encryption, versions, public access and lifecycle of the bucket.
    async fn bucket(&self) -> Vec<Finding> {
        let d = self.deployment;
        let ask = async |part: &str| self.aws.get("s3", &format!("/{}?{part}", d.bucket)).await;
        let yes = |xml: &str, name: &str| element(xml, name) == Some("true");
        vec![
            judged(
                "bucket-policy",
                ask("policy").await,
                format!("the policy of {} is compared with Terraform's", d.bucket),
                |text| same_policy(text, &d.bucket_policy),
            ),
            judged(
                "bucket-encryption",
                ask("encryption").await,
                format!("objects are encrypted under {}", d.storage_key),
                |xml| {
                    element(xml, "SSEAlgorithm") == Some("aws:kms")
                        && element(xml, "KMSMasterKeyID") == Some(d.storage_key.as_str())
                },
            ),
            judged("bucket-versions", ask("versioning").await, "the bucket keeps versions".into(), |xml| {
                element(xml, "Status") == Some("Enabled")
            }),
            judged(
                "bucket-public-access",
                ask("publicAccessBlock").await,
                "public access is blocked in all four ways".into(),
                |xml| {
                    ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
                        .iter()
                        .all(|name| yes(xml, name))
                },
            ),
            judged(
                "bucket-lifecycle",
                ask("lifecycle").await,
                format!("old versions end after {} days", d.noncurrent_days),
                |xml| {
                    element(xml, "NoncurrentDays").and_then(|n| n.parse().ok()) == Some(d.noncurrent_days)
                        && xml.contains("<Status>Enabled</Status>")
                },
            ),
        ]
    }

    /// A KMS key is enabled, rotates, and has Terraform's policy.
    async fn key(&self, arn: &str, policy: &str) -> Finding {
        const CHECK: &str = "kms-key";
        let asked = async |operation: &str, more: Value| {
            let mut body = json!({"KeyId": arn});
            if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
                body.extend(more);
            }
            self.aws.json("kms", &format!("TrentService.{operation}"), &body).await
        };
        let found = async {
            let key = asked("DescribeKey", json!({})).await?;
            let rotation = asked("GetKeyRotationStatus", json!({})).await?;
            let held = asked("GetKeyPolicy", json!({"PolicyName": "default"})).await?;
            Ok::<_, Refused>((key, rotation, held))
        };
        let (key, rotation, held) = match found.await {
            Ok(found) => found,
            Err(e) if e.code == "NotFoundException" => {
                return Finding::differs(
                    CHECK,
                    format!("{arn} is gone"),
                    "restore the key; without it shares stay closed",
                );
            }
            Err(e) => return unasked(CHECK, arn, &e),
        };
        let state = key["KeyMetadata"]["KeyState"].as_str().unwrap_or("of unknown state");
        if state == "PendingDeletion" {
            let mend =
                format!("aws kms cancel-key-deletion --key-id {arn}, then aws kms enable-key --key-id {arn}");
            return Finding::differs(CHECK, format!("{arn} is going to be deleted"), mend);
        }
        if state != "Enabled" {
            let mend = format!("aws kms enable-key --key-id {arn}");
            return Finding::differs(CHECK, format!("{arn} is {state}"), mend);
        }
        let rotates = rotation["KeyRotationEnabled"] == json!(true);
        let same = held["Policy"].as_str().is_some_and(|held| same_policy(held, policy));
        Finding::of(
            CHECK,
            rotates && same,
            format!("{arn}: rotates: {rotates}; its policy is Terraform's: {same}"),
            APPLY,
        )
    }

    /// A secret holds a key, and its policy lets nobody but the program read it.
    async fn secret(&self, name: &str, arn: &str) -> Finding {
        const CHECK: &str = "secret";
        let body = json!({"SecretId": arn});
        let found = async {
            let described = self.aws.json("secretsmanager", "secretsmanager.DescribeSecret", &body).await?;
            let policy = self.aws.json("secretsmanager", "secretsmanager.GetResourcePolicy", &body).await?;
            Ok::<_, Refused>((described, policy))
        };
        let (described, policy) = match found.await {
            Ok(found) => found,
            Err(e) => return unasked(CHECK, name, &e),
        };
        if described.get("DeletedDate").is_some_and(|d| !d.is_null()) {
            let mend = format!("aws secretsmanager restore-secret --secret-id {arn}");
            return Finding::differs(CHECK, format!("{name} is going to be deleted"), mend);
        }
        let held = policy["ResourcePolicy"].as_str().unwrap_or_default();
        if !same_policy(held, &self.deployment.secret_policy) {
            return Finding::differs(CHECK, format!("{name}: its policy is not Terraform's"), APPLY);
        }
        let stages = described["VersionIdsToStages"].as_object();
        let filled = stages.is_some_and(|s| s.values().any(|v| v.to_string().contains("AWSCURRENT")));
        // It is empty but for the time of a rotation.
        if name == "sealing_previous" {
            return Finding::good(CHECK, format!("{name}: its policy is Terraform's"));
        }
        Finding::of(
            CHECK,
            filled,
            format!("{name}: holds a key: {filled}; its policy is Terraform's"),
            "tercet operator store --dir DIR --secrets secrets.json",
        )
    }

    /// Every alarm is there, acts, and is silent; and somebody is notified.
    async fn alarms(&self) -> Finding {
        const CHECK: &str = "alarms";
        if self.deployment.topics.is_empty() {
            return Finding::differs(
                CHECK,
                "alarms are told to nobody",
                "give Terraform alarms = { topic_arns = [...] }; the bootstrap root makes a topic",
            );
        }
        let mut form = String::from("Action=DescribeAlarms&Version=2010-08-01&MaxRecords=100");
        for (i, name) in self.deployment.alarms.iter().enumerate() {
            form += &format!("&AlarmNames.member.{}={name}", i + 1);
        }
        let xml = match self.aws.query("monitoring", &form).await {
            Ok((xml, _)) => xml,
            Err(e) => return unasked(CHECK, "CloudWatch", &e),
        };
        // Each description begins with the name in CloudWatch's order of elements, or holds it: cut at the names.
        let found: Vec<&str> = xml.split("<AlarmName>").skip(1).filter_map(|s| s.split('<').next()).collect();
        let missing: Vec<&str> =
            self.deployment.alarms.iter().map(String::as_str).filter(|a| !found.contains(a)).collect();
        if !missing.is_empty() {
            return Finding::differs(CHECK, format!("missing: {}", missing.join(", ")), APPLY);
        }
        if xml.contains("<ActionsEnabled>false</ActionsEnabled>") {
            let mend = "aws cloudwatch enable-alarm-actions --alarm-names NAME";
            return Finding::differs(CHECK, "an alarm tells nobody: its actions are off", mend);
        }
        let ringing = xml.matches("<StateValue>ALARM</StateValue>").count();
        Finding::of(
            CHECK,
            ringing == 0,
            format!("{} alarms are there, {ringing} of them ring", found.len()),
            "aws cloudwatch describe-alarms --state-value ALARM says which, docs/operators.md what to do",
        )
    }

    /// The rules that report changed policies, other programs and deletions for good.
    async fn rules(&self) -> Finding {
        const CHECK: &str = "guards";
        let mut missing = Vec::new();
        for name in &self.deployment.rules {
            match self.aws.json("events", "AWSEvents.DescribeRule", &json!({"Name": name})).await {
                Ok(rule) if rule["State"] == json!("ENABLED") => {}
                Ok(_) => missing.push(format!("{name} (off)")),
                Err(e) if e.code == "ResourceNotFoundException" => missing.push(name.clone()),
                Err(e) => return unasked(CHECK, name, &e),
            }
        }
        if self.deployment.rules.is_empty() {
            return Finding::differs(
                CHECK,
                "nobody is told of changed policies",
                "give Terraform alarms = { topic_arns = [...] }",
            );
        }
        let says = match missing.is_empty() {
            true => format!("{} rules of EventBridge are on", self.deployment.rules.len()),
            false => format!("missing: {}", missing.join(", ")),
        };
        Finding::of(CHECK, missing.is_empty(), says, APPLY)
    }

    /// The vault is there, is locked if it has to be, and holds a copy.
    async fn vault(&self, vault: &Vault) -> Finding {
        const CHECK: &str = "backup";
        let answer = match self.aws.get("backup", &format!("/backup-vaults/{}", vault.name)).await {
            Ok(answer) => answer,
            Err(e) if e.code.contains("NotFound") => {
                return Finding::differs(CHECK, format!("the vault {} is gone", vault.name), APPLY);
            }
            Err(e) => return unasked(CHECK, &vault.name, &e),
        };
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if vault.locked && answer["Locked"] != json!(true) {
            return Finding::differs(
                CHECK,
                format!("copies in {} can be deleted before their time", vault.name),
                APPLY,
            );
        }
        let copies = answer["NumberOfRecoveryPoints"].as_u64().unwrap_or(0);
        Finding::of(
            CHECK,
            copies > 0,
            format!("the vault {} holds {copies} recovery points", vault.name),
            "wait a day after the first apply; then aws backup list-backup-jobs --by-state FAILED says why",
        )
    }

    /// ACM's certificate is issued, of this domain, and does not end soon.
    async fn certificate(&self, service: &Service, now: u64) -> Finding {
        const CHECK: &str = "acm-certificate";
        let body = json!({"CertificateArn": service.certificate});
        let answer = match self.aws.json("acm", "CertificateManager.DescribeCertificate", &body).await {
            Ok(answer) => answer,
            Err(e) => return unasked(CHECK, &service.certificate, &e),
        };
        let c = &answer["Certificate"];
        let names = c["SubjectAlternativeNames"].as_array().into_iter().flatten();
        let named = c["DomainName"] == json!(service.domain)
            || names.into_iter().any(|n| *n == json!(service.domain));
        let status = c["Status"].as_str().unwrap_or("unknown");
        let days = c["NotAfter"].as_f64().map(|end| (end - now as f64) / 86_400.0);
        let lasts = days.is_some_and(|d| d >= CERTIFICATE_DAYS as f64);
        let days = days.map_or_else(|| "an unknown number of".to_owned(), |d| format!("{d:.0}"));
        Finding::of(
            CHECK,
            named && status == "ISSUED" && lasts,
            format!("{status}, {days} days left, of {}: {named}", service.domain),
            "make the DNS record that validates it (terraform output validation, in the bootstrap root), and keep it there",
        )
    }

    /// ECS runs the program that Terraform asked for, and the image is the pinned one.
    async fn service(&self, service: &Service) -> Vec<Finding> {
        const CHECK: &str = "service";
        let ecs = async |operation: &str, body: Value| {
            self.aws.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), &body).await
        };
        let body = json!({"cluster": service.cluster, "services": [service.name]});
        let answer = match ecs("DescribeServices", body).await {
            Ok(answer) => answer,
            Err(e) => return vec![unasked(CHECK, &service.name, &e)],
        };
        let s = &answer["services"][0];
        let wanted = u64::from(service.started);
        let (desired, running) = (s["desiredCount"].as_u64(), s["runningCount"].as_u64().unwrap_or(0));
        if desired != Some(wanted) {
            let says = format!("{desired:?} tasks are wanted there, {wanted} by Terraform");
            return vec![Finding::differs(CHECK, says, APPLY)];
        }
        if !service.started {
            return vec![Finding::differs(
                CHECK,
                "the party is not started",
                "fill the secrets, push the image, then apply with started = true",
            )];
        }
        let failed = s["deployments"].to_string().contains("\"FAILED\"");
        let look = "aws ecs describe-services and aws logs tail say why it stopped; after mending, set `restart` to another text and apply";
        let mut findings = vec![Finding::of(
            CHECK,
            running == 1 && !failed,
            format!("{running} tasks run; the last deployment failed: {failed}"),
            look,
        )];
        let Some(digest) = service.image.as_deref().and_then(|image| image.rsplit('@').next()) else {
            return findings;
        };
        let tasks = async {
            let body = json!({"cluster": service.cluster, "serviceName": service.name});
            let listed = ecs("ListTasks", body).await?;
            ecs("DescribeTasks", json!({"cluster": service.cluster, "tasks": listed["taskArns"]})).await
        };
        findings.push(match tasks.await {
            Ok(tasks) => {
                let runs = tasks["tasks"][0]["containers"][0]["imageDigest"].as_str().unwrap_or("nothing");
                let says = format!("{runs} runs, {digest} is pinned");
                Finding::of("image", runs == digest, says, APPLY)
            }
            Err(e) => unasked("image", &service.name, &e),
        });
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_compared_without_their_order() {
        let a = r#"{"Statement":[{"Action":["a","b"],"Resource":["x"]},{"Sid":"2"}]}"#;
        let b = r#"{"Statement":[{"Sid":"2"},{"Resource":"x","Action":["b","a"]}]}"#;
        assert!(same_policy(a, b));
        assert!(!same_policy(a, r#"{"Statement":[{"Sid":"2"},{"Resource":"x","Action":["b"]}]}"#));
        assert!(!same_policy("", ""), "no policy is not a policy");
    }
}
