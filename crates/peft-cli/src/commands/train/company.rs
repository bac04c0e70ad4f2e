//! [`Company`]: runs of one process that train at once, on one base.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use peft_models::LanguageModel;
use peft_train::{RunSeat, RunsAtOnce};

use crate::error::CliError;

/// Runs that train at once. Each is on a thread of its own and prepares by itself, one after the
/// other, since what begins at random draws from one generator; then all train.
pub(super) struct Company {
    /// Held by the run that prepares.
    preparing: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    runs: usize,
    /// What all adapt, until all have it.
    base: Option<LanguageModel>,
    seats: Vec<Option<RunSeat>>,
    /// Those that are ready, or have ended before.
    prepared: BTreeSet<usize>,
    /// Bytes that their steps are planned to take.
    planned: f64,
}

/// A run of a company.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) company: &'a Company,
    pub(super) run: usize,
}

/// A run that prepares, and no other does meanwhile.
pub(super) struct Preparing<'a> {
    member: Member<'a>,
    lock: Option<MutexGuard<'a, ()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Company {
    pub(super) fn new(runs: usize) -> Self {
        Self {
            preparing: Mutex::new(()),
            state: Mutex::new(State {
                runs,
                base: None,
                seats: Vec::new(),
                prepared: BTreeSet::new(),
                planned: 0.0,
            }),
            changed: Condvar::new(),
        }
    }
}

impl<'a> Member<'a> {
    /// Wait until no other run prepares.
    pub(super) fn prepare(self) -> Preparing<'a> {
        Preparing {
            lock: Some(lock(&self.company.preparing)),
            member: self,
        }
    }
}

impl Preparing<'_> {
    /// The model that all runs adapt: the first of them loads it.
    pub(super) fn base(
        &self,
        load: impl FnOnce() -> Result<LanguageModel, CliError>,
    ) -> Result<LanguageModel, CliError> {
        let mut state = lock(&self.member.company.state);
        if state.base.is_none() {
            let base = load()?;
            let seats = RunsAtOnce::seats(&base, state.runs).into_iter();
            let gone = state.prepared.clone();
            state.seats = seats
                .enumerate()
                .map(|(run, seat)| Some(seat).filter(|_| !gone.contains(&run)))
                .collect();
            state.base = Some(base);
        }
        let base = state.base.clone();
        base.ok_or_else(|| CliError::Usage("no model was loaded".into()))
    }

    /// What the steps of the runs before this one take, as planned, with that of this one.
    pub(super) fn planned(&self, bytes: f64) -> f64 {
        let mut state = lock(&self.member.company.state);
        state.planned += bytes;
        state.planned
    }

    /// Let the others prepare, and wait until they have: the seat to train from.
    pub(super) fn ready(mut self) -> Option<RunSeat> {
        let seat = self.note();
        let company = self.member.company;
        let mut state = lock(&company.state);
        while state.prepared.len() < state.runs {
            let waited = company.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.base = None;
        seat
    }

    /// This run prepares no more; its seat, if it has one.
    fn note(&mut self) -> Option<RunSeat> {
        drop(self.lock.take()?);
        let Member { company, run } = self.member;
        let mut state = lock(&company.state);
        state.prepared.insert(run);
        let seat = state.seats.get_mut(run).and_then(Option::take);
        company.changed.notify_all();
        seat
    }
}

/// A run that ends before it trains is waited for no more.
impl Drop for Preparing<'_> {
    fn drop(&mut self) {
        drop(self.note());
    }
}
