//! Listing folders of numbered objects. A service gives a thousand keys in one answer and the next thousand only after it,
//! so that a folder of many objects takes as many answers, one after the other. Where about as many numbers are known to be
//! in use, the thousands are asked for side by side.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tercet_mutants::mutant;

use super::{Store, StoreError};

/// Numbers that are listed with one request: as many keys as a service gives in one answer.
const BLOCK: u64 = 1000;
/// Digits of a number in a key, without those of the numbers within a block.
const DIGITS: usize = 17;
/// Requests under way at once.
const CONCURRENT_LISTS: usize = 64;

/// Beginnings of 20-digit numbers, in order, such that each number begins with exactly one of them: one for each block of a
/// thousand up to that of `newest`, and a few for all larger numbers.
fn cover(newest: u64) -> Vec<String> {
    let last = format!("{:0DIGITS$}", newest / BLOCK);
    let mut all: Vec<String> = (0..=newest / BLOCK).map(|block| format!("{block:0DIGITS$}")).collect();
    for (at, digit) in last.char_indices().rev().filter(|_| !mutant!("list-ends-at-the-guess")) {
        let larger = ('0'..='9').filter(|d| *d > digit);
        all.extend(larger.map(|d| format!("{}{d}", &last[..at])));
    }
    all
}

impl Store {
    /// All keys of a folder whose names begin with 20-digit numbers, in order. `newest`: about which number is the largest;
    /// larger ones are found as well.
    pub(super) async fn list_numbered(&self, folder: &str, newest: u64) -> Result<Vec<String>, StoreError> {
        if newest < BLOCK {
            return self.inner.objects.list(folder).await;
        }
        let prefixes: Vec<String> = cover(newest).into_iter().map(|p| format!("{folder}{p}")).collect();
        let pages: Vec<Vec<String>> = stream::iter(prefixes)
            .map(|prefix| {
                let store = self.clone();
                async move { store.inner.objects.list(&prefix).await }
            })
            .buffered(CONCURRENT_LISTS)
            .try_collect()
            .await?;
        Ok(pages.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_has_one_beginning(newest in 0u64..3_000_000, number: u64, near in 0u64..4_000_000) {
            let all = cover(newest);
            for number in [number, near, newest, newest + 1, 0, u64::MAX] {
                let text = format!("{number:020}");
                let of = all.iter().filter(|p| text.starts_with(*p)).count();
                prop_assert_eq!(of, 1, "{} with {}", text, newest);
            }
        }

        #[test]
        fn beginnings_are_in_order(newest in 0u64..3_000_000) {
            let all = cover(newest);
            prop_assert!(all.is_sorted());
            // One for each thousand, and at most nine for each digit.
            prop_assert!(all.len() as u64 <= newest / BLOCK + 1 + 9 * DIGITS as u64);
        }
    }
}
