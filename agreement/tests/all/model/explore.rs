//! Breadth-first search over all reachable states, with the shortest trace to a faulty one.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// A system whose states are searched.
pub trait Model {
    /// One state of the whole.
    type State: Clone + Hash;
    /// One step, in the form in which a trace prints it.
    type Action: Display;

    /// Where the search starts.
    fn initial(&self) -> Self::State;
    /// Every step from a state.
    fn next(&self, state: &Self::State, out: &mut Vec<(Self::Action, Self::State)>);
    /// The fault of a state, if it has one.
    fn wrong(&mut self, state: &Self::State) -> Option<String>;
}

/// The outcome of a search.
#[derive(Debug)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// The time that it took.
    pub took: Duration,
    /// The first wrong state, with the shortest trace to it.
    pub wrong: Option<(String, Vec<String>)>,
    /// True if every reachable state was seen.
    pub complete: bool,
}

/// Passes a value that is a hash already.
#[derive(Default)]
pub struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys");
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// A state's fingerprint. Two of n states share one with a chance of n^2 / 2^65.
pub fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Searches until something is wrong, or all states were seen, or more than `limit`.
pub fn explore<M: Model>(model: &mut M, limit: usize) -> Found {
    let start = Instant::now();
    let first = model.initial();
    let mut parents: HashMap<u64, u64, BuildHasherDefault<Same>> = HashMap::default();
    let mut queue = VecDeque::from([first.clone()]);
    parents.insert(fingerprint(&first), 0);
    let mut next = Vec::new();
    let found = |parents: &HashMap<u64, u64, _>, wrong, complete| Found {
        states: parents.len(),
        took: start.elapsed(),
        wrong,
        complete,
    };
    while let Some(state) = queue.pop_front() {
        if let Some(wrong) = model.wrong(&state) {
            let trace = trace(model, &parents, fingerprint(&state));
            return found(&parents, Some((wrong, trace)), false);
        }
        let from = fingerprint(&state);
        model.next(&state, &mut next);
        for (_, state) in next.drain(..) {
            let key = fingerprint(&state);
            if let std::collections::hash_map::Entry::Vacant(place) = parents.entry(key) {
                place.insert(from);
                queue.push_back(state);
            }
        }
        if parents.len() > limit {
            return found(&parents, None, false);
        }
    }
    found(&parents, None, true)
}

fn trace<M: Model>(model: &M, parents: &HashMap<u64, u64, BuildHasherDefault<Same>>, to: u64) -> Vec<String> {
    let mut way = vec![to];
    while let Some(parent) = way.last().and_then(|k| parents.get(k)).filter(|p| **p != 0) {
        way.push(*parent);
    }
    let mut state = model.initial();
    let mut lines = Vec::new();
    let mut next = Vec::new();
    for key in way.into_iter().rev().skip(1) {
        model.next(&state, &mut next);
        let Some((action, after)) = next.drain(..).find(|(_, s)| fingerprint(s) == key) else { break };
        lines.push(action.to_string());
        state = after;
    }
    lines
}
