//! Documents that change while the parties run: a whole document is taken, and a broken one changes nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_config::SdkConfig;
use party_host::documents::DocumentPlace;
use party_host::reload::{Documents, Workshop};
use tercet_protocol::approval::Approval;
use tercet_protocol::keys::OpeningKey;
use tercet_protocol::operator::Federation;
use tercet_protocol::survey::SurveyDescriptor;

use crate::parties::world::{World, cohort, manifest};

const PATIENCE: Duration = Duration::from_secs(20);

/// The folder of documents that the three operators have in common, and each party's view of it.
struct Folder {
    dir: tempfile::TempDir,
    parties: Vec<(Documents, Workshop)>,
}

impl Folder {
    /// With the world's federation and survey in it, as at the parties' start.
    async fn of(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("surveys")).unwrap();
        let mut folder = Self { dir, parties: Vec::new() };
        folder.put_federation(world.federation());
        folder.put(&world.survey);
        folder.approve(world, &world.survey);
        for i in 0..3 {
            let place = |name: &str| DocumentPlace::File(folder.path().join(name));
            let aws = SdkConfig::builder().build();
            let published = world.published_keys(i);
            let mut documents = Documents::new(place("federation.json"), place("surveys"), aws, published);
            let (federation, surveys) = documents.first().await.unwrap();
            assert_eq!((&federation, surveys.len()), (world.federation(), 1));
            folder.parties.push((documents, world.workshop(i)));
        }
        folder
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn put_federation(&self, federation: &Federation) {
        fs::write(self.path().join("federation.json"), serde_json::to_vec(federation).unwrap()).unwrap();
    }

    fn put(&self, survey: &SurveyDescriptor) {
        fs::write(self.path().join("surveys").join(format!("{}.json", survey.id())), survey.bytes()).unwrap();
    }

    fn approve(&self, world: &World, survey: &SurveyDescriptor) {
        for i in 0..3 {
            let key = world.identity(i);
            let approval = Approval::sign(&key, survey.id());
            let name = Approval::file_name(&survey.id(), &key.public());
            fs::write(self.path().join("surveys").join(name), serde_json::to_vec(&approval).unwrap())
                .unwrap();
        }
    }

    /// All three parties look. The documents that each found changed, and whether it took them.
    async fn look(&mut self, world: &World) -> Vec<(&'static str, bool)> {
        let mut all = Vec::new();
        for (i, (documents, workshop)) in self.parties.iter_mut().enumerate() {
            all.push(documents.look(world.party(i), workshop).await);
        }
        assert!(all.iter().all(|seen| *seen == all[0]), "the parties see one folder: {all:?}");
        all.swap_remove(0)
    }
}

/// The world's survey under another name, which makes it another one.
fn named(world: &World, name: &str) -> SurveyDescriptor {
    let mut manifest = manifest();
    manifest.survey.name = name.into();
    let root = fs::read(crate::parties::world::vectors().join("root.der")).unwrap();
    let engine = crate::parties::world::sandbox().digest();
    SurveyDescriptor::assemble(manifest, &[root], *world.survey.parties(), engine).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_that_is_approved_later_runs_without_a_restart() {
    let mut world = World::start(manifest(), PATIENCE).await;
    world.accept(&world.prepare(&cohort()[0])).await;
    let mut folder = Folder::of(&world).await;
    assert!(folder.look(&world).await.is_empty());

    let second = named(&world, "second");
    folder.put(&second);
    // The file alone is no approval.
    assert_eq!(folder.look(&world).await, [("surveys", true)]);
    assert!(!world.party(0).knows(&second.id()));
    folder.approve(&world, &second);
    assert_eq!(folder.look(&world).await, [("surveys", true)]);
    assert!(folder.look(&world).await.is_empty());
    for i in 0..3 {
        assert!(world.party(i).survey(second.id()).is_ok() && world.party(i).ready().is_ok());
    }
    // Both take submissions.
    world.accept(&world.prepare(&cohort()[1])).await;
    let first = std::mem::replace(&mut world.survey, second.clone());
    world.accept(&world.prepare(&cohort()[0])).await;

    // A document that is gone ends nothing.
    fs::remove_file(folder.path().join("surveys").join(format!("{}.json", first.id()))).unwrap();
    assert_eq!(folder.look(&world).await, [("surveys", true)]);
    assert!(world.party(0).survey(first.id()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_keeps_all_as_it_was_until_it_is_mended() {
    let world = World::start(manifest(), PATIENCE).await;
    let mut folder = Folder::of(&world).await;
    let broken = folder.path().join("surveys").join("broken.json");
    fs::write(&broken, "{\"survey\":").unwrap();
    let second = named(&world, "second");
    folder.put(&second);
    folder.approve(&world, &second);
    assert_eq!(folder.look(&world).await, [("surveys", false)]);
    assert!(!world.party(0).knows(&second.id()) && world.party(0).survey(world.survey_id()).is_ok());
    // What was judged is not judged again and again.
    assert!(folder.look(&world).await.is_empty());
    fs::remove_file(&broken).unwrap();
    assert_eq!(folder.look(&world).await, [("surveys", true)]);
    assert!(world.party(0).survey(second.id()).is_ok());
    world.accept(&world.prepare(&cohort()[0])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_is_taken_if_every_check_passes() {
    let world = World::start(manifest(), PATIENCE).await;
    let mut folder = Folder::of(&world).await;
    let good = world.federation().clone();
    let federation = |i: usize| serde_json::to_value(&*world.party(i).federation()).unwrap();
    let before = federation(0);

    // No JSON; a manifest that its operator did not sign; another sealing key than this party has.
    fs::write(folder.path().join("federation.json"), "{").unwrap();
    assert_eq!(folder.look(&world).await, [("federation", false)]);
    let mut unsigned = good.clone();
    unsigned.operators[1].peer_address = "203.0.113.7:7000".into();
    folder.put_federation(&unsigned);
    assert_eq!(folder.look(&world).await, [("federation", false)]);
    for i in 0..3 {
        let mut other = good.clone();
        other.operators[i].sealing = OpeningKey::from_seed(&[200 + i as u8; 32]).public();
        other.operators[i] = other.operators[i].clone().signed(&world.identity(i));
        folder.put_federation(&other);
        let (documents, workshop) = &mut folder.parties[i];
        assert_eq!(documents.look(world.party(i), workshop).await, [("federation", false)]);
    }
    // A manifest that a peer signed once, and has replaced since.
    let mut older = good.clone();
    older.operators[1].issued -= 1;
    older.operators[1] = older.operators[1].clone().signed(&world.identity(1));
    folder.put_federation(&older);
    assert_eq!(folder.look(&world).await, [("federation", false)]);
    assert_eq!(federation(0), before);
    world.accept(&world.prepare(&cohort()[0])).await;

    // The coordinator has another address and a next key less, and the parties go on.
    let mut moved = good.clone();
    moved.coordinator.url = "http://127.0.0.1:19000/elsewhere".into();
    moved.coordinator.next_key = None;
    folder.put_federation(&moved);
    for i in 0..3 {
        let (documents, workshop) = &mut folder.parties[i];
        assert_eq!(documents.look(world.party(i), workshop).await, [("federation", true)]);
        assert_eq!(federation(i), serde_json::to_value(&moved).unwrap());
    }
    world.accept(&world.prepare(&cohort()[1])).await;
}
