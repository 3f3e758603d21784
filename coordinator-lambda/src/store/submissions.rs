//! Submissions, their identities, and how many are under way.
//!
//! A submission's state, its identity's, the count and the reaper's list change together in one transaction, so
//! a crash between requests can leave a submission undecided but never a state that contradicts another.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use tercet_protocol::api::Problem;
use tercet_protocol::ids::{Nullifier, PublicKey, SubmissionId, SurveyId};
use tercet_protocol::submission::Receipt;
use tercet_protocol::withdrawal::ErasureReceipt;

use super::item::{json, number, text};
use super::{Item, Key, Store, StoreError, Transacted, patiently, service};

/// Lists over which the pending submissions of a survey are spread, for good: the reaper looks at all of them.
pub(crate) const LISTS: u16 = 16;
/// Number of times that an admission looks again at an identity that was released meanwhile.
const ROUNDS: usize = 4;
const RECEIPTS: [&str; 3] = ["receipt_0", "receipt_1", "receipt_2"];

/// A submission in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionRecord {
    /// The submission.
    pub submission: SubmissionId,
    /// The survey.
    pub survey: SurveyId,
    /// Its identity's nullifier.
    pub nullifier: Nullifier,
    /// The holder of the private half may have it erased.
    pub withdrawal_key: PublicKey,
    /// Unix seconds at which its newest ticket ends.
    pub expires: u64,
    /// Receipts seen, verified, in party order.
    pub receipts: [Option<Receipt>; 3],
    /// Its state.
    pub state: RecordState,
    /// The counter of unfinished submissions that counts it.
    shard: u16,
}

/// The state of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordState {
    /// Not decided.
    Pending,
    /// In the parties' log; all receipts are there.
    Accepted,
    /// Refused.
    Rejected {
        /// Why.
        problem: Problem,
        /// True if the same submission may be posted again: nothing was wrong with it.
        retryable: bool,
    },
    /// Erased at its provider's wish.
    Withdrawn {
        /// The parties' receipts, verified, in party order.
        receipts: Vec<ErasureReceipt>,
    },
}

/// The input of [`Store::admit`].
#[derive(Debug, Clone, Copy)]
pub struct Admit {
    /// The submission.
    pub submission: SubmissionId,
    /// The survey.
    pub survey: SurveyId,
    /// Its identity's nullifier.
    pub nullifier: Nullifier,
    /// The key that withdraws it.
    pub withdrawal_key: PublicKey,
    /// Unix seconds at which the ticket ends.
    pub expires: u64,
    /// Unix seconds at which the table forgets the submission and its identity.
    pub forgotten: u64,
    /// True if an accepted identity may be admitted again.
    pub replace: bool,
    /// Most unfinished submissions of the survey.
    pub max_unfinished: u32,
    /// Over how many counters they are spread.
    pub shards: u16,
}

/// The outcome of an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It is pending now.
    New,
    /// The submission is in the table already.
    Exists,
    /// The identity has an accepted submission.
    IdentityUsed,
    /// The identity has another submission under way.
    IdentityPending(SubmissionId),
    /// Too many are under way.
    Full,
}

/// The evidence for a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// One party's word: holds only while no receipt was ever seen.
    OneParty,
    /// Two parties' word, of which one is honest: no entry with three votes can exist.
    TwoParties,
}

fn submission_key(id: SubmissionId) -> Key {
    Key::new(format!("submission#{id}"), "state")
}

fn identity_key(survey: SurveyId, nullifier: Nullifier) -> Key {
    Key::new(format!("identity#{survey}#{nullifier}"), "state")
}

fn list(survey: SurveyId, list: u16) -> String {
    format!("pending#{survey}#{list}")
}

fn pending_key(survey: SurveyId, id: SubmissionId) -> Key {
    Key::new(list(survey, spread(id, LISTS)), id.to_string())
}

fn unfinished_key(survey: SurveyId, shard: u16) -> Key {
    Key::new(format!("unfinished#{survey}#{shard}"), "state")
}

/// One of `parts`, the same for the same submission.
pub(super) fn spread(id: SubmissionId, parts: u16) -> u16 {
    u16::from_le_bytes([id.0[0], id.0[1]]) % parts.max(1)
}

impl Store {
    /// Admits a submission: it becomes pending, its identity points to it, and it counts as unfinished.
    pub async fn admit(&self, a: &Admit) -> Result<Admitted, StoreError> {
        const NAME: &str = "admit submission";
        let build = |_| StoreError::Build(NAME);
        let shard = spread(a.submission, a.shards);
        for _ in 0..ROUNDS {
            let free = if a.replace {
                "attribute_not_exists(pending)"
            } else {
                "attribute_not_exists(pending) AND attribute_not_exists(accepted)"
            };
            let identity = Update::builder()
                .table_name(&self.table)
                .set_key(Some(identity_key(a.survey, a.nullifier).attributes()))
                .update_expression("SET pending = :id, expires_at = :forgotten")
                .condition_expression(free)
                .expression_attribute_values(":id", text(a.submission))
                .expression_attribute_values(":forgotten", number(a.forgotten))
                .build()
                .map_err(build)?;
            let mut item = submission_key(a.submission).attributes();
            item.extend([
                ("state".to_owned(), text("pending")),
                ("survey".to_owned(), text(a.survey)),
                ("nullifier".to_owned(), text(a.nullifier)),
                ("withdrawal_key".to_owned(), text(a.withdrawal_key)),
                ("expires".to_owned(), number(a.expires)),
                ("expires_at".to_owned(), number(a.forgotten)),
                ("shard".to_owned(), number(shard)),
            ]);
            let submission = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk) OR retryable = :true")
                .expression_attribute_values(":true", AttributeValue::Bool(true))
                .build()
                .map_err(build)?;
            let count = Update::builder()
                .table_name(&self.table)
                .set_key(Some(unfinished_key(a.survey, shard).attributes()))
                .update_expression("ADD undecided :one")
                .condition_expression("attribute_not_exists(undecided) OR undecided < :max")
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(
                    ":max",
                    number(a.max_unfinished.div_ceil(u32::from(a.shards.max(1)))),
                )
                .build()
                .map_err(build)?;
            let listed = Put::builder()
                .table_name(&self.table)
                .set_item(Some(pending_key(a.survey, a.submission).attributes()))
                .build()
                .map_err(build)?;
            let items = vec![
                TransactWriteItem::builder().update(identity).build(),
                TransactWriteItem::builder().put(submission).build(),
                TransactWriteItem::builder().update(count).build(),
                TransactWriteItem::builder().put(listed).build(),
            ];
            match self.transact(NAME, &items).await? {
                Transacted::Written => return Ok(Admitted::New),
                Transacted::Failed(failed) if failed.contains(&1) => return Ok(Admitted::Exists),
                Transacted::Failed(failed) if failed.contains(&0) => {
                    match self.identity(a.survey, a.nullifier).await? {
                        (Some(id), _) if id == a.submission => return Ok(Admitted::Exists),
                        (Some(id), _) => return Ok(Admitted::IdentityPending(id)),
                        (None, Some(_)) if !a.replace => return Ok(Admitted::IdentityUsed),
                        // Released between the two requests.
                        (None, _) => {}
                    }
                }
                Transacted::Failed(_) => return Ok(Admitted::Full),
            }
        }
        Err(StoreError::Contention(NAME))
    }

    /// An identity's pending and accepted submission.
    async fn identity(
        &self,
        survey: SurveyId,
        nullifier: Nullifier,
    ) -> Result<(Option<SubmissionId>, Option<SubmissionId>), StoreError> {
        let Some(item) = self.get(&identity_key(survey, nullifier), true).await? else {
            return Ok((None, None));
        };
        Ok((item.optional("pending", Item::parsed)?, item.optional("accepted", Item::parsed)?))
    }

    /// Reads a submission.
    pub async fn submission(&self, id: SubmissionId) -> Result<Option<SubmissionRecord>, StoreError> {
        let Some(item) = self.get(&submission_key(id), true).await? else { return Ok(None) };
        let mut receipts = [None, None, None];
        for (slot, name) in receipts.iter_mut().zip(RECEIPTS) {
            *slot = item.optional(name, Item::json)?;
        }
        let state = match item.text("state")? {
            "pending" => RecordState::Pending,
            "accepted" => RecordState::Accepted,
            "rejected" => {
                RecordState::Rejected { problem: item.json("problem")?, retryable: item.has("retryable") }
            }
            "withdrawn" => RecordState::Withdrawn { receipts: item.json("erasure")? },
            _ => return Err(item.corrupt("state")),
        };
        Ok(Some(SubmissionRecord {
            submission: id,
            survey: item.parsed("survey")?,
            nullifier: item.parsed("nullifier")?,
            withdrawal_key: item.parsed("withdrawal_key")?,
            expires: item.number("expires")?,
            receipts,
            state,
            shard: item.number("shard")?,
        }))
    }

    /// Moves the end of a pending submission's ticket. False: it is no longer pending with the end `seen`.
    pub async fn renew(&self, id: SubmissionId, seen: u64, expires: u64) -> Result<bool, StoreError> {
        let update = self
            .db
            .update_item()
            .update_expression("SET expires = :new")
            .condition_expression("#state = :pending AND expires = :seen")
            .expression_attribute_values(":new", number(expires))
            .expression_attribute_values(":seen", number(seen));
        self.update_pending("renew ticket", id, update).await
    }

    /// Keeps receipts that were seen, so that no later answer can make the submission a rejected one. False: it
    /// is no longer pending.
    pub async fn note_receipts(
        &self,
        id: SubmissionId,
        receipts: &[Option<Receipt>; 3],
    ) -> Result<bool, StoreError> {
        const NAME: &str = "note receipts";
        let mut update = self.db.update_item().condition_expression("#state = :pending");
        let mut changes = Vec::new();
        for (i, receipt) in receipts.iter().enumerate() {
            if let Some(receipt) = receipt {
                update = update.expression_attribute_values(format!(":r{i}"), json(NAME, receipt)?);
                changes.push(format!("{} = :r{i}", RECEIPTS[i]));
            }
        }
        if changes.is_empty() {
            return Ok(true);
        }
        self.update_pending(NAME, id, update.update_expression(format!("SET {}", changes.join(", ")))).await
    }

    async fn update_pending(
        &self,
        operation: &'static str,
        id: SubmissionId,
        update: aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder,
    ) -> Result<bool, StoreError> {
        let update = update
            .table_name(&self.table)
            .set_key(Some(submission_key(id).attributes()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":pending", text("pending"));
        match patiently(|| update.clone().send()).await {
            Ok(_) => Ok(true),
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(service(operation, &e)),
            },
        }
    }

    /// Pending becomes accepted, and the identity used. False: it was not pending.
    pub async fn accept(
        &self,
        record: &SubmissionRecord,
        receipts: &[Receipt; 3],
    ) -> Result<bool, StoreError> {
        const NAME: &str = "accept submission";
        let mut submission = Update::builder()
            .update_expression("SET #state = :accepted, receipt_0 = :r0, receipt_1 = :r1, receipt_2 = :r2")
            .condition_expression("#state = :pending")
            .expression_attribute_values(":accepted", text("accepted"));
        for (i, receipt) in receipts.iter().enumerate() {
            submission = submission.expression_attribute_values(format!(":r{i}"), json(NAME, receipt)?);
        }
        self.end(NAME, record, submission, "SET accepted = :id REMOVE pending").await
    }

    /// Pending becomes rejected, and the identity free again. False: it was not pending, its ticket was renewed
    /// since `record` was read, or a receipt has come that outweighs `evidence`.
    pub async fn reject(
        &self,
        record: &SubmissionRecord,
        problem: &Problem,
        retryable: bool,
        evidence: Evidence,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "reject submission";
        let mut condition = "#state = :pending AND expires = :seen".to_owned();
        if evidence == Evidence::OneParty {
            for name in RECEIPTS {
                condition.push_str(&format!(" AND attribute_not_exists({name})"));
            }
        }
        let mut change = "SET #state = :rejected, problem = :problem".to_owned();
        let mut submission = Update::builder();
        if retryable {
            change.push_str(", retryable = :true");
            submission = submission.expression_attribute_values(":true", AttributeValue::Bool(true));
        }
        let submission = submission
            .update_expression(change)
            .condition_expression(condition)
            .expression_attribute_values(":rejected", text("rejected"))
            .expression_attribute_values(":seen", number(record.expires))
            .expression_attribute_values(":problem", json(NAME, problem)?);
        self.end(NAME, record, submission, "REMOVE pending").await
    }

    /// An accepted submission, or one that is pending here although the parties have decided it, becomes withdrawn. Its
    /// identity is free again if it was never counted. Doing it twice changes nothing.
    pub async fn withdraw(
        &self,
        record: &SubmissionRecord,
        receipts: &[ErasureReceipt; 3],
    ) -> Result<(), StoreError> {
        const NAME: &str = "withdraw submission";
        let build = |_| StoreError::Build(NAME);
        if record.state == RecordState::Pending {
            // Accepted before the coordinator looked: its end is written first, so that the counts stay right.
            let ended = Update::builder()
                .update_expression("SET #state = :accepted")
                .condition_expression("#state = :pending")
                .expression_attribute_values(":accepted", text("accepted"));
            self.end(NAME, record, ended, "SET accepted = :id REMOVE pending").await?;
        }
        let submission = Update::builder()
            .table_name(&self.table)
            .set_key(Some(submission_key(record.submission).attributes()))
            .update_expression("SET #state = :withdrawn, erasure = :erasure")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":withdrawn", text("withdrawn"))
            .expression_attribute_values(":erasure", json(NAME, receipts)?)
            .build()
            .map_err(build)?;
        let mut items = vec![TransactWriteItem::builder().update(submission).build()];
        if receipts[0].entered.is_none() {
            let identity = Update::builder()
                .table_name(&self.table)
                .set_key(Some(identity_key(record.survey, record.nullifier).attributes()))
                .update_expression("REMOVE accepted")
                .condition_expression("accepted = :id")
                .expression_attribute_values(":id", text(record.submission))
                .build()
                .map_err(build)?;
            items.push(TransactWriteItem::builder().update(identity).build());
        }
        if let Transacted::Failed(_) = self.transact(NAME, &items).await? {
            // The identity has moved on to another submission: only this one's state is left to write.
            items.truncate(1);
            self.transact(NAME, &items).await?;
        }
        Ok(())
    }

    /// Ends a pending submission in one transaction: `submission` changes its item (`#state` and `:pending` are
    /// given here), `identity` its identity's; one fewer is unfinished, and the reaper forgets it. False: a
    /// condition failed.
    async fn end(
        &self,
        operation: &'static str,
        record: &SubmissionRecord,
        submission: UpdateBuilder,
        identity: &str,
    ) -> Result<bool, StoreError> {
        let build = |_| StoreError::Build(operation);
        let submission = submission
            .table_name(&self.table)
            .set_key(Some(submission_key(record.submission).attributes()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":pending", text("pending"))
            .build()
            .map_err(build)?;
        let identity = Update::builder()
            .table_name(&self.table)
            .set_key(Some(identity_key(record.survey, record.nullifier).attributes()))
            .update_expression(identity)
            .condition_expression("pending = :id")
            .expression_attribute_values(":id", text(record.submission))
            .build()
            .map_err(build)?;
        let count = Update::builder()
            .table_name(&self.table)
            .set_key(Some(unfinished_key(record.survey, record.shard).attributes()))
            .update_expression("ADD undecided :less")
            .expression_attribute_values(":less", number(-1))
            .build()
            .map_err(build)?;
        let listed = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(pending_key(record.survey, record.submission).attributes()))
            .build()
            .map_err(build)?;
        let items = vec![
            TransactWriteItem::builder().update(submission).build(),
            TransactWriteItem::builder().update(identity).build(),
            TransactWriteItem::builder().update(count).build(),
            TransactWriteItem::builder().delete(listed).build(),
        ];
        Ok(matches!(self.transact(operation, &items).await?, Transacted::Written))
    }

    /// Up to `limit` pending submissions in one of a survey's [`LISTS`], in the order of their ids, after `after`.
    pub async fn pending(
        &self,
        survey: SurveyId,
        in_list: u16,
        after: Option<SubmissionId>,
        limit: i32,
    ) -> Result<Vec<SubmissionId>, StoreError> {
        let partition = list(survey, in_list);
        let mut query = self
            .db
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .limit(limit)
            .expression_attribute_values(":pk", text(&partition));
        query = match after {
            None => query.key_condition_expression("pk = :pk"),
            Some(id) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", text(id)),
        };
        let got =
            patiently(|| query.clone().send()).await.map_err(|e| service("list pending submissions", &e))?;
        let key = Key::new(partition, "");
        got.items.unwrap_or_default().into_iter().map(|i| Item::new(&key, i).parsed("sk")).collect()
    }

    /// Number of a survey's submissions that are admitted and undecided, over `shards` counters.
    pub async fn unfinished(&self, survey: SurveyId, shards: u16) -> Result<i64, StoreError> {
        let mut total = 0;
        for shard in 0..shards {
            if let Some(item) = self.get(&unfinished_key(survey, shard), true).await? {
                total += item.number::<i64>("undecided")?;
            }
        }
        Ok(total)
    }
}
