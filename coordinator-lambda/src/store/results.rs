//! Results as text, under the hash of that text: whatever is kept cannot be replaced. A text that is longer than an
//! item may be is cut into several.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use tercet_protocol::ids::sha256;
use tercet_protocol::survey::MAX_RESULT;

use super::item::{number, text};
use super::{Key, Store, StoreError, patiently, service};

/// Most bytes of text in one item; DynamoDB takes 400 KB with names and keys.
const CHUNK: usize = 300_000;

/// Most bytes of texts that a process remembers.
const REMEMBERED: usize = 16 << 20;

/// Texts that this process has read or written lately, the newest last. A text never changes under its name, so that a crowd
/// which looks at one result reads one partition of the table once for each process.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Arc<Mutex<VecDeque<(String, String)>>>);

impl Texts {
    fn of(&self, hash: &str) -> Option<String> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.iter().find(|(name, _)| name == hash).map(|(_, text)| text.clone())
    }

    fn note(&self, hash: &str, text: &str) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() > REMEMBERED || texts.iter().any(|(name, _)| name == hash) {
            return;
        }
        texts.push_back((hash.to_owned(), text.to_owned()));
        let mut total: usize = texts.iter().map(|(_, text)| text.len()).sum();
        while total > REMEMBERED {
            total -= texts.pop_front().map_or(total, |(_, text)| text.len());
        }
    }
}

fn chunk_key(hash: &str, index: usize) -> Key {
    Key::new(format!("result#{hash}"), format!("{index:04}"))
}

/// The text in pieces of at most [`CHUNK`] bytes, cut between characters.
fn chunks(mut rest: &str) -> Vec<&str> {
    let mut out = Vec::new();
    while rest.len() > CHUNK {
        let at = (0..=CHUNK).rev().find(|i| rest.is_char_boundary(*i)).unwrap_or(CHUNK);
        let (head, tail) = rest.split_at(at);
        out.push(head);
        rest = tail;
    }
    out.push(rest);
    out
}

impl Store {
    /// Keeps a text of at most [`MAX_RESULT`] bytes until `expires_at`, without one for ever, and gives the name under
    /// which it is found again. The first piece, which says how many there are, is written last.
    pub(super) async fn keep(&self, value: &str, expires_at: Option<u64>) -> Result<String, StoreError> {
        const NAME: &str = "keep result";
        if value.len() > MAX_RESULT {
            return Err(StoreError::Build(NAME));
        }
        let hash = hex::encode(sha256(&[value.as_bytes()]));
        let chunks = chunks(value);
        for (index, chunk) in chunks.iter().enumerate().rev() {
            let mut item = chunk_key(&hash, index).attributes();
            item.insert("text".to_owned(), text(chunk));
            item.insert("chunks".to_owned(), number(chunks.len() as u64));
            let mut put = self.db.put_item().table_name(&self.table);
            if let Some(end) = expires_at {
                item.insert("expires_at".to_owned(), number(end));
                // What is kept for ever stays so.
                put = put.condition_expression("attribute_not_exists(pk) OR attribute_exists(expires_at)");
            }
            let put = put.set_item(Some(item));
            match patiently(|| put.clone().send()).await {
                Ok(_) => {}
                Err(e) => match e.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(_)) => {}
                    _ => return Err(service(NAME, &e)),
                },
            }
        }
        self.texts.note(&hash, value);
        Ok(hash)
    }

    /// The text of this name; `None` if it has gone.
    pub async fn kept(&self, hash: &str) -> Result<Option<String>, StoreError> {
        if let Some(text) = self.texts.of(hash) {
            return Ok(Some(text));
        }
        let Some(first) = self.get(&chunk_key(hash, 0), true).await? else { return Ok(None) };
        let mut out = first.text("text")?.to_owned();
        for index in 1..first.number::<usize>("chunks")? {
            let Some(next) = self.get(&chunk_key(hash, index), true).await? else { return Ok(None) };
            out.push_str(next.text("text")?);
        }
        self.texts.note(hash, &out);
        Ok(Some(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_texts_are_forgotten() {
        let (texts, large) = (Texts::default(), "x".repeat(REMEMBERED / 2));
        for name in ["a", "b", "b", "c"] {
            texts.note(name, &large);
        }
        assert_eq!(texts.of("a"), None);
        assert!(texts.of("b").is_some() && texts.of("c").is_some());
        texts.note("d", &"x".repeat(REMEMBERED + 1));
        assert!(texts.of("b").is_some() && texts.of("d").is_none());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for text in [String::new(), "a".repeat(CHUNK), format!("a{}", "é".repeat(CHUNK))] {
            let parts = chunks(&text);
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|p| p.len() <= CHUNK));
        }
        assert_eq!(chunks(&"é".repeat(CHUNK)).len(), 2);
    }
}
