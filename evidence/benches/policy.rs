//! The time that the policy takes over a JSON body of 64 KiB: `cargo bench -p tercet-evidence`.

use std::hint::black_box;
use std::time::Instant;

use tercet_evidence::{Bindings, Commitment, Data, Kind, Policy, Transcript};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyManifest;

const SURVEY: &str = include_str!("../../tests/fixtures/vectors/survey.toml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = SURVEY.replace(
        "prefix = '{\"asset\":\"ETH\",\"free\":\"'\nsuffix = '\",\"locked\":'",
        "at = \"$.balances[?@.asset=='ETH'].free\"",
    );
    for (name, survey) in [("tokens", SURVEY), ("path", &text)] {
        let policy = Policy::new(SurveyId([1; 32]), &SurveyManifest::from_toml(survey)?)?;
        let transcript = transcript();
        let mut times: Vec<_> = (0..200)
            .map(|_| {
                let start = Instant::now();
                black_box(policy.admit(black_box(&transcript))).map(|_| start.elapsed())
            })
            .collect::<Result<_, _>>()?;
        times.sort();
        println!(
            "policy over {} bytes by {name}: median {:?}, slowest {:?}",
            transcript.received.bytes.len(),
            times[100],
            times[199]
        );
    }
    Ok(())
}

fn transcript() -> Transcript {
    let mut body = String::from("{\"balances\":[");
    let mut asset = 0;
    while body.len() < 64 * 1024 - 120 {
        body.push_str(&format!(
            "{{\"asset\":\"A{asset}\",\"free\":\"0.00000000\",\"locked\":\"0.00000000\"}},"
        ));
        asset += 1;
    }
    body.push_str("{\"asset\":\"ETH\",\"free\":\"");
    let value = body.len()..body.len() + 4;
    body.push_str("\0\0\0\0\",\"locked\":\"0\"}],\"uid\":77}");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let range = head.len() + value.start..head.len() + value.end;
    Transcript {
        kind: Kind::Presentation,
        server: "api.exchange.test".into(),
        time: 1_741_091_696,
        session: vec![1; 32],
        sent: Data {
            bytes: b"GET /api/v3/account?omitZeroBalances=true HTTP/1.1\r\nHost: api.exchange.test\r\n\r\n"
                .to_vec(),
            hidden: Vec::new(),
        },
        received: Data {
            bytes: [head.into_bytes(), body.into_bytes()].concat(),
            hidden: vec![range.clone()],
        },
        bindings: Bindings::Hashes(vec![Commitment {
            ranges: vec![range],
            algorithm: HashAlg::Blake3,
            digest: [9; 32],
        }]),
    }
}
