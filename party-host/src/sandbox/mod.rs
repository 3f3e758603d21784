//! The sandbox: the engine component in wasmtime, with the imports of `protocol/wit/engine.wit` and no others.
//!
//! The component is compiled from the digest-pinned file at start; a precompiled file is never loaded.

mod field;
mod hash;
mod host;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tercet_mpc::noise::Laplace;
use tercet_mpc::order::{OrderAnswer, OrderRequest};
use tercet_mpc::sharing::LANE_BYTES;
use tercet_mpc::{Reject, RingShare};
use tercet_protocol::ids::{EngineDigest, sha256};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{
    Config, Engine as Wasmtime, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
    UpdateDeadline,
};

pub use host::{Direction, PairSecrets, PeerIo, SessionOver};

mod bindings {
    #![expect(missing_docs, reason = "generated; the WIT file is the documentation")]
    #![expect(clippy::too_many_arguments, reason = "generated; one call of the engine's interface")]
    wasmtime::component::bindgen!({
        path: "../protocol/wit",
        world: "engine",
        imports: { "tercet:engine/field": trappable, "tercet:engine/hash": trappable },
        with: {
            "tercet:engine/field.vector": tercet_kernels::Vector,
            "tercet:engine/field.columns": tercet_kernels::Columns,
            "tercet:engine/hash.keystream": crate::sandbox::hash::Keystream,
            "tercet:engine/hash.digest": crate::sandbox::hash::MessageDigest,
        },
    });
}

pub use bindings::{AbortCode, AcceptedRow, Context, Reason, Rejection, Session, Submission, Verdict};

use bindings::Abort;

/// The imports an engine may have. A component with any other import does not load.
pub const IMPORTS: &[&str] =
    &["tercet:engine/host@0.1.0", "tercet:engine/field@0.1.0", "tercet:engine/hash@0.1.0"];

/// The numbers that were read off a sorted column, and their costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The opened answer, in the request's form.
    pub answer: OrderAnswer,
    /// Exchanges among the parties.
    pub rounds: u64,
    /// AND gates.
    pub gates: u64,
}

impl AbortCode {
    /// A stable name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Transport => "transport",
            Self::WrongFrame => "wrong-frame",
            Self::Malformed => "malformed",
            Self::Disagreement => "disagreement",
            Self::Inconsistent => "inconsistent",
            Self::Multiplication => "multiplication",
            Self::Altered => "altered",
            Self::Closed => "closed",
        }
    }
}

impl From<Reason> for Reject {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::MissingPrivate => Self::MissingPrivate,
            Reason::MalformedPrivate => Self::MalformedPrivate,
            Reason::SeedHash => Self::SeedHash,
            Reason::WitnessHash => Self::WitnessHash,
            Reason::ProofHash => Self::ProofHash,
            Reason::Unsatisfied => Self::Unsatisfied,
            Reason::InvalidProof => Self::InvalidProof,
            Reason::Binding => Self::Binding,
            Reason::RowHash => Self::RowHash,
        }
    }
}

/// Time between two ticks of the epoch; time limits are multiples of it.
const TICK: Duration = Duration::from_millis(100);
/// Engine instances that may run at once: a session each.
const MAX_INSTANCES: u32 = 32;

/// Why the engine did not give an answer.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine file cannot be read.
    #[error("cannot read the engine {path}: {source}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The engine is not the one that was approved.
    #[error("the engine file has digest {found}, but {expected} was approved: install the approved release")]
    Digest {
        /// The file's digest.
        found: EngineDigest,
        /// The approved one.
        expected: EngineDigest,
    },
    /// The engine asks for more than it may have.
    #[error("the engine imports \"{0}\", which no engine may: do not run this file")]
    Import(String),
    /// The engine does not compile or load.
    #[error("the engine does not load: {0}")]
    Load(String),
    /// The engine trapped: it panicked, ran out of memory or of time.
    #[error("the engine was stopped: {0}")]
    Trap(String),
    /// The engine ended the session by its own rules; nothing was released.
    #[error("the engine stopped the session: {name}: {detail}", name = .code.name())]
    Abort {
        /// The kind of the fault.
        code: AbortCode,
        /// The fault.
        detail: String,
    },
    /// A peer's frame did not come, or the session was closed.
    #[error("the session ended: {0}")]
    Session(SessionOver),
    /// The engine's answer does not have the form it must have.
    #[error("the engine's answer is malformed: {0}")]
    Malformed(&'static str),
}

/// Bounds of one engine instance.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// Longest computation between two exchanges with the peers.
    pub compute: Duration,
}

/// The compiled engine. Cheap to clone; every call runs in a fresh instance.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: Wasmtime,
    pre: bindings::EnginePre<host::State>,
    digest: EngineDigest,
    limits: Limits,
    imports: Vec<String>,
    /// Stops the epoch ticker when the last sandbox is dropped.
    _ticker: std::sync::mpsc::Sender<()>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({})", self.inner.digest)
    }
}

fn load_error(e: wasmtime::Error) -> SandboxError {
    SandboxError::Load(format!("{e:#}"))
}

impl Sandbox {
    /// Compiles the engine in `path`. With `expected`, any other digest is refused before compiling.
    pub fn load(path: &Path, expected: Option<EngineDigest>, limits: Limits) -> Result<Self, SandboxError> {
        let bytes = std::fs::read(path).map_err(|source| SandboxError::Read { path: path.into(), source })?;
        let digest = EngineDigest(sha256(&[&bytes]));
        if let Some(expected) = expected.filter(|e| *e != digest) {
            return Err(SandboxError::Digest { found: digest, expected });
        }
        let wasmtime = Wasmtime::new(&wasmtime_config(limits)).map_err(load_error)?;
        let component = Component::from_binary(&wasmtime, &bytes).map_err(load_error)?;
        let imports: Vec<String> =
            component.component_type().imports(&wasmtime).map(|(name, _)| name.to_string()).collect();
        if let Some(other) = imports.iter().find(|i| !IMPORTS.contains(&i.as_str())) {
            return Err(SandboxError::Import(other.clone()));
        }
        let mut linker: Linker<host::State> = Linker::new(&wasmtime);
        bindings::Engine::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(load_error)?;
        let pre =
            linker.instantiate_pre(&component).and_then(bindings::EnginePre::new).map_err(load_error)?;

        let (stop, stopped) = std::sync::mpsc::channel();
        let ticking = wasmtime.clone();
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                while stopped.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    ticking.increment_epoch();
                }
            })
            .map_err(|e| SandboxError::Load(format!("no thread for the time limit: {e}")))?;
        Ok(Self { inner: Arc::new(Inner { wasmtime, pre, digest, limits, imports, _ticker: stop }) })
    }

    /// Most bytes of linear memory that one engine instance may have.
    pub fn memory(&self) -> usize {
        self.inner.limits.memory
    }

    /// SHA-256 of the engine's file.
    pub fn digest(&self) -> EngineDigest {
        self.inner.digest
    }

    /// The imports of the compiled component.
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// Checks a batch of submissions with the peers. Blocks: call it on a blocking thread.
    pub fn verify_batch(
        &self,
        session: &Session,
        batch: &[Submission],
        io: impl PeerIo + 'static,
    ) -> Result<Vec<Verdict>, SandboxError> {
        let verdicts = self.run(io, None, |engine, store| engine.call_verify_batch(store, session, batch))?;
        if verdicts.len() == batch.len() {
            Ok(verdicts)
        } else {
            Err(SandboxError::Malformed("another number of verdicts than of submissions"))
        }
    }

    /// Checks this party's private part of a submission alone: its form and length, that it belongs to the submission, all
    /// of its commitments. Gives the fault, if there is one. Takes some milliseconds of computation:
    /// call it on a blocking thread.
    pub fn check_private(&self, party: u8, submission: &Submission) -> Result<Option<Reject>, SandboxError> {
        let fault = self
            .run(host::Nobody, None, |engine, store| engine.call_check_private(store, party, submission))?;
        Ok(fault.map(Reject::from))
    }

    /// Sums rows lane by lane and opens the sums with the peers. Blocks: call it on a blocking thread.
    pub fn open_sums(
        &self,
        session: &Session,
        lanes: u32,
        segments: &[Vec<u8>],
        io: impl PeerIo + 'static,
    ) -> Result<Vec<u128>, SandboxError> {
        let bytes =
            self.run(io, None, |engine, store| engine.call_open_sums(store, session, lanes, segments))?;
        sums(&bytes, lanes)
    }

    /// Draws noise with the peers, a shared value of each distribution, which is verified and not opened. Blocks: call it
    /// on a blocking thread.
    pub fn draw_noise(
        &self,
        session: &Session,
        context: &Context,
        secrets: PairSecrets,
        noise: &[Laplace],
        io: impl PeerIo + 'static,
    ) -> Result<Vec<RingShare>, SandboxError> {
        let encoded: Vec<Vec<u8>> = noise.iter().map(|n| n.encode().to_vec()).collect();
        let bytes = self.run(io, Some(secrets), |engine, store| {
            engine.call_draw_noise(store, session, context, &encoded)
        })?;
        match bytes.as_chunks::<LANE_BYTES>() {
            (drawn, []) if drawn.len() == noise.len() => Ok(drawn.iter().map(RingShare::from_lane).collect()),
            _ => Err(SandboxError::Malformed("another number of noise terms than was asked for")),
        }
    }

    /// Decides with the peers whether each count (32 bytes) is at least its limit; nothing else is opened. Blocks: call it
    /// on a blocking thread.
    pub fn at_least(
        &self,
        session: &Session,
        context: &Context,
        secrets: PairSecrets,
        counts: &[u8],
        limits: &[u64],
        io: impl PeerIo + 'static,
    ) -> Result<Vec<bool>, SandboxError> {
        let decided = self.run(io, Some(secrets), |engine, store| {
            engine.call_at_least(store, session, context, counts, limits)
        })?;
        if decided.len() == limits.len() {
            Ok(decided)
        } else {
            Err(SandboxError::Malformed("another number of decisions than of counts"))
        }
    }

    /// Sorts a column (rows of share i and share i + 1, magnitudes below 2^bits) with the peers and opens what the
    /// request asks for. For a column that may be missing, a row has a second lane, and `present` is the number of
    /// values. Blocks: call it on a blocking thread.
    #[expect(clippy::too_many_arguments, reason = "one call of the engine's interface")]
    pub fn read_order(
        &self,
        session: &Session,
        context: &Context,
        secrets: PairSecrets,
        bits: u8,
        present: Option<u64>,
        segments: &[Vec<u8>],
        request: &OrderRequest,
        io: impl PeerIo + 'static,
    ) -> Result<Reading, SandboxError> {
        let bytes = request.encode();
        let reading = self.run(io, Some(secrets), |engine, store| {
            engine.call_read_order(store, session, context, bits, present, segments, &bytes)
        })?;
        let rows = present.unwrap_or_else(|| segments.iter().map(|s| (s.len() / LANE_BYTES) as u64).sum());
        let answer = OrderAnswer::decode(&reading.answer)
            .and_then(|answer| request.accepts(&answer, rows).map(|()| answer))
            .map_err(|_| SandboxError::Malformed("not an answer to the request"))?;
        Ok(Reading { answer, rounds: reading.rounds, gates: reading.gates })
    }

    fn run<T>(
        &self,
        io: impl PeerIo + 'static,
        secrets: Option<PairSecrets>,
        call: impl FnOnce(&bindings::Engine, &mut Store<host::State>) -> wasmtime::Result<Result<T, Abort>>,
    ) -> Result<T, SandboxError> {
        let inner = &*self.inner;
        let mut store = Store::new(&inner.wasmtime, host::State::new(Box::new(io), secrets, inner.limits));
        store.limiter(|state| state.limits());
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|ctx| {
            Ok(if ctx.data().within_time() { UpdateDeadline::Continue(1) } else { UpdateDeadline::Interrupt })
        });
        let answer = inner.pre.instantiate(&mut store).and_then(|engine| call(&engine, &mut store));
        // A broken session is the cause of whatever the engine says about it afterwards.
        if let Some(over) = store.data_mut().take_over() {
            return Err(SandboxError::Session(over));
        }
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Abort { code, detail })) => Err(SandboxError::Abort { code, detail }),
            Err(trap) => Err(SandboxError::Trap(format!("{trap:#}"))),
        }
    }
}

/// Opened sums, one for each lane.
fn sums(bytes: &[u8], lanes: u32) -> Result<Vec<u128>, SandboxError> {
    let (sums, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() || sums.len() != lanes as usize {
        return Err(SandboxError::Malformed("another number of sums than of lanes"));
    }
    Ok(sums.iter().map(|s| u128::from_le_bytes(*s)).collect())
}

fn wasmtime_config(limits: Limits) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES * 4)
        .total_memories(MAX_INSTANCES)
        .total_tables(MAX_INSTANCES * 4)
        .max_memory_size(limits.memory)
        // Pages are kept, but zeroed before reuse; more would hold on to memory of past sessions.
        .linear_memory_keep_resident(1 << 20);
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
