//! HAR files as browsers write them, the part from which a survey can be made. Values of headers and cookies are
//! never read.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;

use crate::error::Error;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Lenient>,
}

/// Browsers and extensions add entries of their own kinds (sockets, blocked requests): these are no exchanges.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient {
    Exchange(Box<Entry>),
    Other(serde::de::IgnoredAny),
}

/// A request and its answer.
#[derive(Deserialize)]
pub struct Entry {
    /// The request.
    pub request: Request,
    response: Response,
}

/// A request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its address.
    pub url: String,
    headers: Option<Vec<Header>>,
    post_data: Option<Body>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
}

/// A request's body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    mime_type: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    status: i64,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    mime_type: Option<String>,
    text: Option<String>,
    encoding: Option<String>,
}

impl Request {
    /// The names of its headers, in lower case, without HTTP/2's own.
    pub fn header_names(&self) -> impl Iterator<Item = String> + '_ {
        let names = self.headers.iter().flatten().map(|h| h.name.to_ascii_lowercase());
        names.filter(|name| !name.starts_with(':'))
    }

    /// Its body: `Content-Type` and text. `None` if it has none.
    pub fn body(&self) -> Option<(&str, &str)> {
        let body = self.post_data.as_ref()?;
        Some((body.mime_type.as_deref().unwrap_or_default(), body.text.as_deref().unwrap_or_default()))
    }
}

impl Entry {
    /// The answer's media type, without parameters, in lower case.
    pub fn media_type(&self) -> String {
        let text = self.response.content.mime_type.as_deref().unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The answer's body.
    pub fn answer(&self) -> Result<Vec<u8>, Error> {
        let content = &self.response.content;
        let Some(text) = content.text.as_ref().filter(|t| !t.is_empty()) else {
            return Err(Error::usage(
                "the file has this exchange without its answer: save it once more with contents (\"Save all as HAR with content\"), \
                 and reload the page before, since browsers keep the contents of a while only",
            ));
        };
        match content.encoding.as_deref() {
            None | Some("") => Ok(text.clone().into_bytes()),
            Some("base64") => BASE64
                .decode(text.trim())
                .map_err(|_| Error::usage("the answer's base64 in this file is broken")),
            Some(_) => Err(Error::usage("the answer is encoded in a way that this program does not know")),
        }
    }

    /// True if a survey could be about it.
    pub fn is_data(&self) -> bool {
        let media = self.media_type();
        let data = ["json", "xml", "html", "csv", "text/plain"].iter().any(|m| media.contains(m));
        self.response.status == 200 && self.request.url.starts_with("https://") && data
    }
}

/// The exchanges of a file, in order.
pub fn read(har: &[u8]) -> Result<Vec<Entry>, Error> {
    let har = har.strip_prefix(b"\xef\xbb\xbf").unwrap_or(har);
    let har: Har =
        serde_json::from_slice(har).map_err(|e| Error::usage(format!("this is no HAR file: {e}")))?;
    let exchange = |entry| match entry {
        Lenient::Exchange(entry) => Some(*entry),
        Lenient::Other(_) => None,
    };
    Ok(har.log.entries.into_iter().filter_map(exchange).collect())
}
