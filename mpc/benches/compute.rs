//! What computations among the parties cost, natively: three parties as threads of this process.
//!
//! `cargo bench -p tercet-mpc --bench compute [-- ROWS]`: processor time of one party, per gate and per sort.

use std::time::Instant;

use tercet_kernels::Accelerated;
use tercet_mpc::compute::{self, Compute, FieldKernels, Tuning};
use tercet_mpc::field::Gf128;
use tercet_mpc::prss::{Prss, SessionContext, SessionKeys};
use tercet_mpc::sharing::Ring;
use tercet_mpc::testing::{TestNet, TestWorld};
use tercet_mpc::{Abort, Peer, RingShare, Session, Step, Transport};

/// Test wires with the processor's kernels.
struct Wires<'a, 'b>(&'a mut TestNet<'b>);

impl Transport for Wires<'_, '_> {
    fn send(&mut self, to: Peer, step: Step, frame: Vec<u8>) -> Result<(), Abort> {
        self.0.send(to, step, frame)
    }
    fn recv(&mut self, from: Peer, step: Step) -> Result<Vec<u8>, Abort> {
        self.0.recv(from, step)
    }
}

impl FieldKernels for Wires<'_, '_> {
    fn scale(&mut self, values: &[Gf128], by: Gf128) -> Vec<Gf128> {
        Accelerated.scale(values, by)
    }
    fn multiply(&mut self, a: &[Gf128], b: &[Gf128]) -> Vec<Gf128> {
        Accelerated.multiply(a, b)
    }
    fn fold(&mut self, values: &[Gf128], point: Gf128) -> Vec<Gf128> {
        Accelerated.fold(values, point)
    }
    fn halves(&mut self, a: &[Gf128], b: &[Gf128]) -> [Gf128; 2] {
        Accelerated.halves(a, b)
    }
}

/// Processor seconds of this thread.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let rows: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000);
    let context = SessionContext {
        session: [1; 32],
        parties: [[1; 32], [2; 32], [3; 32]],
        survey: [4; 32],
        engine: [5; 32],
        nonces: [[6; 32], [7; 32], [8; 32]],
    };
    let secrets = [[9; 32], [10; 32], [11; 32]];
    let mut state = 1u128;
    let mut random = || {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x5851_f42d);
        state ^ state >> 67
    };
    let mut shares: [Vec<RingShare>; 3] = Default::default();
    for _ in 0..rows {
        let value = random() >> 80;
        let split = RingShare::split(Ring(value), [Ring(random()), Ring(random())]);
        shares.iter_mut().zip(split).for_each(|(to, share)| to.push(share));
    }
    let start = Instant::now();
    let results = TestWorld::new(1).run(|party, net| {
        let (with_prev, with_next) = (&secrets[party.index()], &secrets[party.next().index()]);
        let keys = SessionKeys::derive(party, with_prev, with_next, &context).ok()?;
        let mut session = Session::new(party, context.session);
        let mut wires = Wires(net);
        let before = cpu();
        let mut c = Compute::new(&mut session, Prss::new(keys), &mut wires, Tuning::default());
        compute::sort(&mut c, &shares[party.index()], 48).ok()?;
        let gates = c.gate_words() * 64;
        c.finish().ok()?;
        Some((cpu() - before, gates, session.cost()))
    });
    let wall = start.elapsed().as_secs_f64();
    for result in results {
        let Some((cpu, gates, cost)) = result else {
            println!("a party stopped");
            continue;
        };
        println!(
            "sort {rows}: {cpu:.3} s of processor, {wall:.3} s in all; {gates} gates, {:.1} ns each; {} rounds, {} bytes",
            cpu * 1e9 / gates as f64,
            cost.rounds,
            cost.bytes
        );
    }
}
