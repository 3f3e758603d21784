//! The part of a survey that a session needs.

use std::ops::Range;

use tercet_evidence::{Data, Secrets, plan};
use tercet_protocol::ids::PublicKey;
use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tercet_tls_session::MAX_HOLES;

use super::{Notarized, Shape, Target};
use crate::error::Error;

impl Target {
    /// The server of a survey's sessions.
    pub fn of(survey: &SurveyDescriptor) -> Result<Self, Error> {
        Ok(Self {
            survey: survey.id(),
            server_name: survey.manifest().source.server_name.clone(),
            roots: survey.root_certificates()?,
        })
    }
}

/// Keys of the survey's notaries that forward sessions.
pub fn notaries(survey: &SurveyManifest) -> Result<Vec<PublicKey>, Error> {
    let mut keys = Vec::new();
    for notary in survey.notaries.iter().filter(|n| n.kind == Kind::Session) {
        let key = notary.key_bytes()?;
        keys.extend(<[u8; 32]>::try_from(key).ok().map(PublicKey));
    }
    if keys.is_empty() {
        return Err(Error::usage(
            "the survey lists no notary of kind \"proxy\": it takes TLSNotary presentations only",
        ));
    }
    Ok(keys)
}

impl Shape {
    /// The request that a survey asks for.
    pub fn of(survey: &SurveyManifest) -> Self {
        let source = &survey.source;
        let kind = || source.body_type().unwrap_or_default().to_owned();
        let body = source.request_body().map(|body| (kind(), body.to_owned()));
        Self {
            host: source.server_name.clone(),
            method: source.method.clone(),
            path: source.path.clone(),
            query: source.query.clone(),
            parameters: source.parameters.clone(),
            headers: source.required_headers(),
            request_headers: source.request_headers.clone(),
            body,
        }
    }
}

impl Notarized {
    /// The evidence for a survey: hides the survey's values, the request's credentials, and everything else that may be
    /// hidden. With it, the secrets that belong to it.
    pub fn evidence(&self, survey: &SurveyManifest) -> Result<(Vec<u8>, Secrets), Error> {
        use tercet_tls_session::Direction::{Client, Server};
        let rules = survey.source_rules()?;
        let (sent, received) = (self.opened.stream(Client), self.opened.stream(Server));
        let located = plan::locate(&rules, &received)?;
        let values = in_order(located.iter().flat_map(|l| l.pieces.iter().cloned()).collect());
        let mut data = Data { bytes: received.to_vec(), hidden: values.clone() };
        for range in &values {
            data.bytes.get_mut(range.clone()).unwrap_or_default().fill(0);
        }
        let everything = in_order(plan::everything(&rules, &data));
        let hidden = if everything.len() <= MAX_HOLES { everything } else { values };
        let layout = self.opened.layout(&in_order(plan::credentials(&rules, &sent)), &hidden)?;
        let evidence = tercet_tls_session::Evidence { layout: Some(layout), ..self.evidence.clone() };
        Ok((evidence.encode(), Secrets::Session(self.secret.clone())))
    }
}

/// Sorts ranges and joins those that touch.
fn in_order(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|r| (r.start, r.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
