//! A party starts on the log of its entries, whatever its checkpoints say.

use std::time::Duration;

use party_host::store::{Draft, Span};
use tercet_protocol::ids::EntryHash;
use tercet_protocol::log::{EntryBody, LogEntry};

use super::world::{World, cohort, manifest};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_party_starts_on_its_entries_when_its_checkpoints_are_of_another_log() {
    let mut world = World::start(manifest(), PATIENCE).await;
    for i in 0..3u64 {
        world.accept(&world.prepare(&cohort()[i as usize])).await;
        world.until_height(i + 1).await;
    }
    let (id, zero) = (world.survey_id(), EntryHash([0; 32]));
    let store = world.party(1).survey(id).unwrap().store.clone();
    let mut entries = Vec::new();
    for height in 1..=3 {
        entries.push(store.get_entry(id, height).await.unwrap().unwrap().entry);
    }
    let heights = world.heights();
    // Sealed with the party's own key: what it wrote in another life, or whoever has the key.
    let body = EntryBody::Batch { accepted: vec![] };
    let forged = LogEntry { survey: id, height: 1, previous: zero, at: 1, body };
    for (entries, last) in [(vec![forged], 1), (entries[..2].to_vec(), 2), (entries.clone(), 3)] {
        let mut draft = Draft::above((0, zero));
        assert!(entries.iter().all(|e| draft.add(e, e.hash()).is_none()));
        store.put_checkpoint(id, draft).await.unwrap();
        assert_eq!(store.checkpoints(id).await.unwrap(), [Span { first: 1, last }]);
        world.parties[1].take().unwrap().disconnect();
        world.start_party(1).await;
        assert_eq!(world.heights(), heights);
        for span in store.checkpoints(id).await.unwrap() {
            store.delete_checkpoint(id, span).await.unwrap();
        }
    }
    world.accept(&world.prepare(&cohort()[3])).await;
}
