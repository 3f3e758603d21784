//! The S3 server under `aws-sdk-s3`.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use tercet_embedded::Server;
use tercet_embedded::s3::{Config, Key, Keys, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::{ANY, Process, s3_client};

fn key(name: &str, bucket: Option<&str>) -> Key {
    Key {
        access_key: name.into(),
        secret_key: format!("secret of {name}"),
        buckets: bucket.map(|b| vec![b.to_owned()]),
    }
}

async fn start(root: &Path) -> (Server, Client) {
    let config = Config {
        listen: ANY,
        root: root.to_path_buf(),
        keys: Keys::new(vec![key("admin", None), key("one", Some("bucket-1")), key("two", Some("bucket-2"))]),
        buckets: vec!["bucket-1".into(), "bucket-2".into()],
        sync: false,
    };
    let server = serve(config).await.unwrap();
    let client = s3_client(&server.url(), "one", "secret of one");
    (server, client)
}

async fn put(client: &Client, key: &str, body: impl Into<ByteStream>) {
    client.put_object().bucket("bucket-1").key(key).body(body.into()).send().await.unwrap();
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket("bucket-1").key(key).send().await.unwrap();
    got.body.collect().await.unwrap().to_vec()
}

async fn keys(client: &Client, page: i32) -> (Vec<String>, usize) {
    let mut pages =
        client.list_objects_v2().bucket("bucket-1").max_keys(page).into_paginator().page_size(page).send();
    let (mut keys, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().map(|o| o.key().unwrap().to_owned()));
        count += 1;
    }
    (keys, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_creators_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path()).await;
    for round in 0..6 {
        let name = format!("race/{round}");
        let mut creators = JoinSet::new();
        for i in 0..16u8 {
            let create = client
                .put_object()
                .bucket("bucket-1")
                .key(&name)
                .if_none_match("*")
                .body(ByteStream::from(vec![i; 200_000]));
            creators.spawn(async move {
                create.send().await.map(|_| i).map_err(|e| e.code().unwrap().to_owned())
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = creators.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        assert!(lost.iter().all(|l| *l == Err("PreconditionFailed".to_owned())), "{lost:?}");
        let winner = *won[0].as_ref().unwrap();
        assert_eq!(get(&client, &name).await, vec![winner; 200_000], "the object is the winner's, whole");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn of_sixteen_updates_of_one_version_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, client) = start(dir.path()).await;
    let first =
        client.put_object().bucket("bucket-1").key("k").body(ByteStream::from_static(b"0")).send().await;
    let tag = first.unwrap().e_tag.unwrap();
    let mut writers = JoinSet::new();
    for i in 1..=16u8 {
        let write = client.put_object().bucket("bucket-1").key("k").if_match(&tag).body(vec![i].into());
        writers.spawn(async move { write.send().await.is_ok() });
    }
    assert_eq!(writers.join_all().await.into_iter().filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn ranges() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, client) = start(dir.path()).await;
    // Longer than what the server reads at a time.
    let body: Vec<u8> = (0..600_000u32).map(|i| (i % 251) as u8).collect();
    put(&client, "long", body.clone()).await;
    put(&client, "empty", Vec::new()).await;
    assert_eq!(get(&client, "long").await, body);
    assert_eq!(get(&client, "empty").await, b"");
    for (range, expect) in [
        ("bytes=0-0", Some(0..1)),
        ("bytes=262100-262200", Some(262_100..262_201)),
        ("bytes=599999-", Some(599_999..600_000)),
        ("bytes=590000-999999", Some(590_000..600_000)),
        ("bytes=-10", Some(599_990..600_000)),
        ("bytes=-999999", Some(0..600_000)),
        ("bytes=600000-", None),
        ("bytes=-0", None),
    ] {
        let got = client.get_object().bucket("bucket-1").key("long").range(range).send().await;
        match (got, expect) {
            (Ok(got), Some(expect)) => {
                let shown = format!("bytes {}-{}/600000", expect.start, expect.end - 1);
                assert_eq!(got.content_range(), Some(shown.as_str()), "{range}");
                assert_eq!(got.body.collect().await.unwrap().to_vec(), body[expect], "{range}");
            }
            (Err(e), None) => assert_eq!(e.code(), Some("InvalidRange"), "{range}"),
            (got, _) => panic!("{range}: {got:?}"),
        }
    }
    let empty = client.get_object().bucket("bucket-1").key("empty").range("bytes=-1").send().await;
    assert_eq!(empty.unwrap_err().code(), Some("InvalidRange"));
}

#[tokio::test]
async fn lists_in_pages_and_groups() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, client) = start(dir.path()).await;
    let mut all: Vec<String> = (0..25).map(|i| format!("segments/{i:03}")).collect();
    // A key that is another's folder elsewhere, one with characters to escape, and one of full length.
    all.extend(["segments".to_owned(), "a <&> ä".to_owned(), "k".repeat(1024)]);
    all.sort();
    for key in &all {
        put(&client, key, b"x".to_vec()).await;
    }
    assert_eq!(keys(&client, 10).await, (all.clone(), 3));
    assert_eq!(keys(&client, 1000).await, (all.clone(), 1));
    let grouped = client.list_objects_v2().bucket("bucket-1").delimiter("/").send().await.unwrap();
    assert_eq!(grouped.common_prefixes()[0].prefix(), Some("segments/"));
    assert_eq!(grouped.contents().len(), 3);
    client.delete_object().bucket("bucket-1").key("segments").send().await.unwrap();
    client.delete_object().bucket("bucket-1").key("never there").send().await.unwrap();
    assert_eq!(keys(&client, 1000).await.0.len(), all.len() - 1);
    assert_eq!(get(&client, "segments/007").await, b"x");
}

#[tokio::test]
async fn objects_and_metadata_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = start(dir.path()).await;
    let body = ByteStream::from_static(b"hello");
    let stored = client.put_object().bucket("bucket-1").key("a/b").content_type("text/plain");
    let stored = stored.metadata("height", "7").body(body).send().await.unwrap();
    put(&client, "gone", b"x".to_vec()).await;
    client.delete_object().bucket("bucket-1").key("gone").send().await.unwrap();
    server.shutdown().await;

    let (_server, client) = start(dir.path()).await;
    let head = client.head_object().bucket("bucket-1").key("a/b").send().await.unwrap();
    assert_eq!(head.e_tag(), stored.e_tag());
    assert_eq!(head.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""), "MD5, as S3's");
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.metadata().unwrap()["height"], "7");
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(keys(&client, 10).await.0, ["a/b"]);
    let again = client.put_object().bucket("bucket-1").key("a/b").if_none_match("*").send().await;
    assert_eq!(again.unwrap_err().code(), Some("PreconditionFailed"));
}

#[tokio::test]
async fn a_body_that_is_not_the_declared_one_is_never_visible() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, client) = start(dir.path()).await;
    let sum = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; // SHA-256 of nothing
    let put = || client.put_object().bucket("bucket-1").key("k").body(ByteStream::from_static(b"hello"));
    let refused = put().checksum_sha256(sum).send().await;
    assert_eq!(refused.unwrap_err().code(), Some("BadDigest"));
    let refused = put().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await;
    assert_eq!(refused.unwrap_err().code(), Some("BadDigest"));

    // Half a body, then the connection ends.
    let minute = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let signed = client.put_object().bucket("bucket-1").key("k").presigned(minute).await.unwrap();
    let url: http::Uri = signed.uri().parse().unwrap();
    let host = url.authority().unwrap().as_str();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = head_of(&url, host, &signed);
    stream.write_all(format!("{head}\r\nhello").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // An error answer or a closed connection, as the server finds.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));

    let missing = client.head_object().bucket("bucket-1").key("k").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
    assert_eq!(std::fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
    // The same request with its whole body is fine, so the signature was not what was wrong.
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\nhelloworld").as_bytes()).await.unwrap();
    answer.clear();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(get(&client, "k").await, b"helloworld");
}

#[tokio::test]
async fn each_key_has_its_own_buckets() {
    let dir = tempfile::tempdir().unwrap();
    let (server, one) = start(dir.path()).await;
    let url = server.url();
    put(&one, "share", b"x".to_vec()).await;
    let denied = |code: Option<&str>| {
        let code = code.unwrap();
        assert!(["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"].contains(&code), "{code}");
    };
    let two = s3_client(&url, "two", "secret of two");
    for bucket in ["bucket-1", "bucket-2/../bucket-1"] {
        denied(two.get_object().bucket(bucket).key("share").send().await.unwrap_err().code());
    }
    // A key that climbs is just a key: it names nothing in the other bucket.
    let climbing = two.get_object().bucket("bucket-2").key("../bucket-1/share").send().await;
    assert!(climbing.is_err());
    denied(two.list_objects_v2().bucket("bucket-1").send().await.unwrap_err().code());
    denied(two.delete_object().bucket("bucket-1").key("share").send().await.unwrap_err().code());
    denied(two.list_buckets().send().await.unwrap_err().code());
    denied(two.create_bucket().bucket("bucket-3").send().await.unwrap_err().code());
    let unknown = s3_client(&url, "three", "secret of three");
    denied(unknown.get_object().bucket("bucket-1").key("share").send().await.unwrap_err().code());
    let wrong = s3_client(&url, "one", "secret of two");
    denied(wrong.get_object().bucket("bucket-1").key("share").send().await.unwrap_err().code());

    let admin = s3_client(&url, "admin", "secret of admin");
    admin.create_bucket().bucket("bucket-3").send().await.unwrap();
    assert_eq!(admin.list_buckets().send().await.unwrap().buckets().len(), 3);
    assert_eq!(get(&admin, "share").await, b"x");
    let full = admin.delete_bucket().bucket("bucket-1").send().await;
    assert_eq!(full.unwrap_err().code(), Some("BucketNotEmpty"));
    admin.delete_bucket().bucket("bucket-3").send().await.unwrap();
    let missing = admin.head_bucket().bucket("bucket-3").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let args = ["s3", "--root", root, "--bucket", "bucket-1"];
    let env = [("AWS_ACCESS_KEY_ID", "one"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let process = Process::start(&args, &env);
    let client = s3_client(&process.url, "one", "hush");

    // Eight writers go on until the server is gone; it is killed once forty writes have been answered.
    let (answered, mut count) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for writer in 0..8u8 {
        let (client, answered) = (client.clone(), answered.clone());
        writers.spawn(async move {
            for i in 0.. {
                let key = format!("{writer}/{i}");
                let put = client.put_object().bucket("bucket-1").key(&key).if_none_match("*");
                match put.body(vec![writer; 100_000].into()).send().await {
                    Ok(_) => answered.send(key).unwrap(),
                    Err(_) => return,
                }
            }
        });
    }
    drop(answered);
    let mut keys_answered = Vec::new();
    while keys_answered.len() < 40 {
        keys_answered.push(count.recv().await.unwrap());
    }
    process.kill();
    writers.join_all().await;
    while let Some(key) = count.recv().await {
        keys_answered.push(key);
    }

    let process = Process::start(&args, &env);
    let client = s3_client(&process.url, "one", "hush");
    let (listed, _) = keys(&client, 1000).await;
    assert!(keys_answered.iter().all(|key| listed.contains(key)));
    for key in &listed {
        let writer: u8 = key.split('/').next().unwrap().parse().unwrap();
        assert_eq!(get(&client, key).await, vec![writer; 100_000], "{key} is whole");
    }
    assert_eq!(process.terminate(), Some(0));
}

fn head_of(url: &http::Uri, host: &str, signed: &aws_sdk_s3::presigning::PresignedRequest) -> String {
    let mut head =
        format!("PUT {} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n", url.path_and_query().unwrap());
    for (name, value) in signed.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}
