//! [`RunsAtOnce`]: runs that go step by step together, on one base.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use peft_kernels::{Gathering, Place};

/// Runs on one base, each on a thread of its own, that take each step together: where their rows
/// go through the same frozen weight, that is one product of all their rows. The base is in memory
/// once, where the runs' models are clones of one.
///
/// Each run is as it is alone, to the bit: its rows, its adapter, its optimizer, its evaluations
/// and its state are its own, and it ends, or fails, by itself. The others wait for it while it
/// evaluates. On other backends than `flex` they share the base in memory alone.
#[derive(Debug)]
pub struct RunsAtOnce {
    rounds: Mutex<Rounds>,
    changed: Condvar,
}

#[derive(Debug)]
struct Rounds {
    /// Those that have not ended.
    live: BTreeSet<usize>,
    /// How many threads each that waits computes its step on.
    waiting: BTreeMap<usize, usize>,
    /// What those have that need not wait any more.
    places: BTreeMap<usize, Vec<Place>>,
    /// One for the first thread of each run, one for the second ...
    gatherings: Vec<Gathering>,
    shared: Vec<Tensor<2>>,
}

/// A run's seat among others: [`Trainer::with_runs`](super::Trainer::with_runs). The others wait
/// for the run until it is dropped.
#[derive(Debug)]
pub struct RunSeat {
    runs: Arc<RunsAtOnce>,
    run: usize,
}

impl RunsAtOnce {
    /// Seats for `n` runs whose models are clones of `base`.
    pub fn seats<M: Module>(base: &M, n: usize) -> Vec<RunSeat> {
        let runs = Arc::new(Self {
            rounds: Mutex::new(Rounds {
                live: (0..n).collect(),
                waiting: BTreeMap::new(),
                places: BTreeMap::new(),
                gatherings: Vec::new(),
                shared: matrices(base),
            }),
            changed: Condvar::new(),
        });
        let seat = |run| RunSeat {
            runs: Arc::clone(&runs),
            run,
        };
        (0..n).map(seat).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rounds {
    /// Let a step begin, once all wait for it.
    fn begin_if_all_wait(&mut self) {
        if self.waiting.len() < self.live.len() {
            return;
        }
        for (run, threads) in std::mem::take(&mut self.waiting) {
            while self.gatherings.len() < threads {
                self.gatherings.push(Gathering::new(&self.shared));
            }
            let places = self.gatherings[..threads].iter();
            let places = places.map(|gathering| gathering.place(run)).collect();
            self.places.insert(run, places);
        }
    }
}

impl RunSeat {
    /// Wait until all runs are about to compute a step, this one on so many threads; the places of
    /// these.
    pub(super) fn begin_step(&self, threads: usize) -> Vec<Place> {
        let mut rounds = self.runs.lock();
        rounds.waiting.insert(self.run, threads);
        rounds.begin_if_all_wait();
        self.runs.changed.notify_all();
        loop {
            if let Some(places) = rounds.places.remove(&self.run) {
                return places;
            }
            let waited = self.runs.changed.wait(rounds);
            rounds = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many products with weights of the base the runs have asked for so far, and how many were
    /// made of them.
    pub fn products(&self) -> (usize, usize) {
        let rounds = self.runs.lock();
        let all = rounds.gatherings.iter().map(Gathering::products);
        all.fold((0, 0), |(asked, made), (a, m)| (asked + a, made + m))
    }
}

impl Drop for RunSeat {
    fn drop(&mut self) {
        let mut rounds = self.runs.lock();
        rounds.live.remove(&self.run);
        rounds.waiting.remove(&self.run);
        rounds.begin_if_all_wait();
        self.runs.changed.notify_all();
    }
}

/// The matrices of a model.
fn matrices<M: Module>(model: &M) -> Vec<Tensor<2>> {
    struct Find(Vec<Tensor<2>>);
    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let matrix = (param as &dyn Any).downcast_ref::<Param<Tensor<2>>>();
            self.0.extend(matrix.map(Param::base));
        }
    }
    let mut find = Find(Vec::new());
    model.visit(&mut find);
    find.0
}
