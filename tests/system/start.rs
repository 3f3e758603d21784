//! A party that was killed and starts again: it answers before it may work, and says what it waits for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{World, vectors};

/// The status and the body of an answer, if there is one.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: party\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.get(9..12)?.parse().ok()?, body.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_answers_while_it_waits_for_its_lease() {
    let mut world = World::start(vectors().join("survey.toml")).await;
    let url = world.stack.party(2);
    let address = url.strip_prefix("http://").unwrap();
    let survey = format!("/v1/surveys/{}", world.stack.survey());
    let stack = &mut world.stack;
    // Killed, it has not given its lease back: the next start has to wait until that is over.
    stack.kill("party-2").unwrap();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| stack.restart("party-2"));
            let clock = Instant::now();
            while get(address, "/healthz").is_none_or(|(status, _)| status != 200) {
                assert!(clock.elapsed() < Duration::from_secs(60), "it does not answer");
                std::thread::sleep(Duration::from_millis(5));
            }
            for path in ["/readyz", &survey] {
                let (status, body) = get(address, path).unwrap();
                assert!(status == 503 && body.contains("the party is starting"), "{path}: {status} {body}");
            }
            starting.join().unwrap().unwrap();
        });
    });
    assert_eq!(get(address, "/readyz").unwrap().0, 200);
    assert_eq!(get(address, &survey).unwrap().0, 200);
    // It looks at its documents, and nothing else.
    let pid = world.stack.pid("party-2").unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(get(address, "/readyz").unwrap().0, 200);
    world.stack.stop();
}
