//! Questions to the three parties: for statistics, for release points, and that a provider may leave.

use std::time::Duration;

use party_host::clock::Clock;
use tercet_protocol::api::{QueryState, SubmissionState};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::Nonce;
use tercet_protocol::query_ticket::{QueryTicket, Question};
use tercet_protocol::result::SignedResult;
use tercet_protocol::withdrawal::Withdrawal;

use super::{Prepared, World, withdrawal_key};

impl World {
    /// Runs a query to its end.
    pub async fn query(&self, statistics: &[&str]) -> QueryState {
        self.query_where(statistics, Filter::default()).await
    }

    /// Asks a question about some of the units, at the newest release point.
    pub async fn query_where(&self, statistics: &[&str], filter: Filter) -> QueryState {
        let statistics = statistics.iter().map(ToString::to_string).collect();
        self.ask(Question { statistics, filter }).await
    }

    /// The coordinator's ticket for a question.
    pub fn ticket(&self, release: u64, question: Question) -> QueryTicket {
        let nonce = Nonce(tercet_protocol::keys::random().unwrap());
        QueryTicket::issue(
            &self.coordinator,
            self.survey_id(),
            release,
            question,
            self.clock.now() + 60,
            nonce,
        )
    }

    /// Asks a question as the coordinator does, and waits for its end.
    pub async fn ask(&self, question: Question) -> QueryState {
        let node = self.party(0);
        let release = node.survey_status(self.survey_id()).unwrap().release;
        let ticket = self.ticket(release, question);
        let id = ticket.query();
        match node.start_query(id, ticket) {
            Ok(status) if !matches!(status.state, QueryState::Running) => return status.state,
            Ok(_) => {}
            Err(problem) => return QueryState::Refused { problem },
        }
        match node.query_ended(id, Duration::from_secs(60)).await.unwrap().state {
            QueryState::Running => panic!("the query does not end"),
            done => done,
        }
    }

    /// Makes a release point. Gives its listed statistics; `None` where too few rows are counted for any.
    pub async fn release(&self) -> Option<SignedResult> {
        let made = self.party(0).release_now(self.survey_id()).await.unwrap_or_else(|p| panic!("{p}"));
        assert!(made.made, "nothing enters");
        let heights = self.heights();
        self.until_height(heights.iter().map(|h| h.0).max().unwrap()).await;
        self.published(made.release).await
    }

    /// The listed statistics of a release point, as every party hands them out.
    pub async fn published(&self, release: u64) -> Option<SignedResult> {
        let first = self.party(0).statistics(self.survey_id(), release).await.ok()?;
        first.verify(self.survey.parties()).unwrap();
        for i in 1..3 {
            let mut other = self.party(i).statistics(self.survey_id(), release).await;
            // The others keep it a moment after the leader has answered.
            for _ in 0..500 {
                if other.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                other = self.party(i).statistics(self.survey_id(), release).await;
            }
            assert_eq!(other.unwrap().result, first.result);
        }
        Some(first)
    }

    /// Lets all of these in, and makes a release point.
    pub async fn count(&self, prepared: &[Prepared]) -> Option<SignedResult> {
        futures::future::join_all(prepared.iter().map(|p| self.accept(p))).await;
        self.release().await
    }

    /// A provider's wish to leave.
    pub fn wish(&self, prepared: &Prepared) -> Withdrawal {
        Withdrawal::sign(&withdrawal_key(), self.survey_id(), prepared.id())
    }

    /// Lets a provider leave, as the coordinator passes the wish on; gives the three receipts.
    pub async fn withdraw(&self, prepared: &Prepared) -> Vec<tercet_protocol::withdrawal::ErasureReceipt> {
        let wish = self.wish(prepared);
        let patience = Duration::from_secs(30);
        let asked = (0..3).map(|i| self.party(i).withdraw(prepared.id(), wish.clone(), patience));
        let mut receipts = Vec::new();
        for answer in futures::future::join_all(asked).await {
            let SubmissionState::Withdrawn { receipts: own } = answer.unwrap().state else {
                panic!("not erased")
            };
            own[0].verify(self.survey.parties()).unwrap();
            receipts.extend(own);
        }
        assert!(receipts.iter().all(|r| r.agrees(&receipts[0])), "{receipts:?}");
        receipts
    }
}
