//! [`Meeting`]: threads that ask for work of the same kind, which is then done once for all of
//! them.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Threads that meet. Whoever is [present](Self::enter) and asks for something waits until
/// everybody who is present does; the last one to ask does the work of those whose turn it is.
///
/// So that threads which do the same in the same order ask for the same, one that has come farther
/// waits for the others, as long as they are to come to where it is: see [`State::turns`]. Nobody
/// waits for ever: who has waited for as long as is set goes on with nothing.
#[derive(Debug)]
pub(crate) struct Meeting<K, X, Y> {
    state: Mutex<State<K, X, Y>>,
    changed: Condvar,
    patience: Duration,
}

#[derive(Debug)]
struct State<K, X, Y> {
    present: BTreeMap<usize, Member<K, X, Y>>,
}

#[derive(Debug)]
struct Member<K, X, Y> {
    /// How often it has begun anew.
    pass: usize,
    /// What it has been given in this pass.
    had: HashSet<K>,
    asks: Asks<K, X, Y>,
}

#[derive(Debug)]
enum Asks<K, X, Y> {
    /// It does its own work, or what it asked for is being done.
    Nothing,
    For(K, X),
    /// What it asked for; none where that was not done.
    Given(Option<Y>),
}

impl<K: Copy + Eq + Hash, X, Y> Meeting<K, X, Y> {
    /// One in which nobody waits for longer than `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            state: Mutex::new(State {
                present: BTreeMap::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Wait for `who` from here on.
    pub(crate) fn enter(&self, who: usize) {
        let member = Member {
            pass: 0,
            had: HashSet::new(),
            asks: Asks::Nothing,
        };
        self.lock().present.insert(who, member);
    }

    /// Wait for `who` no more.
    pub(crate) fn leave(&self, who: usize) {
        self.lock().present.remove(&who);
        self.changed.notify_all();
    }

    /// `who` begins anew, and is to come to everything again.
    pub(crate) fn begin_anew(&self, who: usize) {
        if let Some(member) = self.lock().present.get_mut(&who) {
            member.pass += 1;
            member.had.clear();
        }
    }

    /// What `work` makes of `x`, with what others have asked for by the same key; none where `who`
    /// is not present, whoever did the work panicked, or it has waited for too long.
    pub(crate) fn ask(
        &self,
        who: usize,
        key: K,
        x: X,
        work: impl Fn(K, Vec<X>) -> Vec<Y>,
    ) -> Option<Y> {
        let began = Instant::now();
        let mut state = self.lock();
        state.present.get_mut(&who)?.asks = Asks::For(key, x);
        loop {
            let own = state.present.get_mut(&who)?;
            if let Asks::Given(_) = own.asks {
                return match std::mem::replace(&mut own.asks, Asks::Nothing) {
                    Asks::Given(y) => y,
                    Asks::Nothing | Asks::For(..) => None,
                };
            }
            let is_being_done = matches!(own.asks, Asks::Nothing);
            let turns = state.turns();
            if turns.is_empty() && is_being_done {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if turns.is_empty() {
                let left = self.patience.saturating_sub(began.elapsed());
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                if began.elapsed() >= self.patience {
                    state.give_up(who);
                }
                continue;
            }
            let taken = state.take(&turns);
            drop(state);
            let mut panicked = None;
            for (key, whose, all) in taken {
                // After a panic nothing more is done, and nobody waits for it.
                let done = match panicked {
                    None => catch_unwind(AssertUnwindSafe(|| work(key, all))),
                    Some(_) => Ok(Vec::new()),
                };
                let given = done.unwrap_or_else(|panic| {
                    panicked = Some(panic);
                    Vec::new()
                });
                let given = given
                    .into_iter()
                    .map(Some)
                    .chain(std::iter::repeat_with(|| None));
                let mut state = self.lock();
                for (whose, y) in whose.into_iter().zip(given) {
                    if let Some(member) = state.present.get_mut(&whose) {
                        member.asks = Asks::Given(y);
                    }
                }
                self.changed.notify_all();
            }
            if let Some(panic) = panicked {
                resume_unwind(panic);
            }
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, X, Y>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One piece of work: its key, for whom, and what of.
type Taken<K, X> = (K, Vec<usize>, Vec<X>);

impl<K: Copy + Eq + Hash, X, Y> State<K, X, Y> {
    /// Whose turn it is: nobody's while somebody who is present asks for nothing. Then all are
    /// asked whom they would wait for: those who are in an earlier pass, or in the same one and had
    /// not what they ask for, and ask for something else. Who waits for nobody has the turn, or all
    /// have it, where each waits for another.
    fn turns(&self) -> Vec<usize> {
        let asks = |member: &Member<K, X, Y>| match member.asks {
            Asks::For(key, _) => Some((member.pass, key)),
            Asks::Nothing | Asks::Given(_) => None,
        };
        let all: Option<Vec<_>> = self.present.values().map(asks).collect();
        let Some(all) = all else {
            return Vec::new();
        };
        let waits = |(pass, key): (usize, K)| {
            self.present.values().zip(&all).any(|(other, asked)| {
                let is_to_come = other.pass == pass && !other.had.contains(&key);
                *asked != (pass, key) && (other.pass < pass || is_to_come)
            })
        };
        let members = || self.present.keys().copied().zip(&all);
        let ready: Vec<usize> = members()
            .filter(|(_, asked)| !waits(**asked))
            .map(|(who, _)| who)
            .collect();
        match ready.is_empty() {
            true => self.present.keys().copied().collect(),
            false => ready,
        }
    }

    /// Give this one nothing, if it still asks.
    fn give_up(&mut self, who: usize) {
        if let Some(member) = self.present.get_mut(&who)
            && let Asks::For(key, _) = member.asks
        {
            member.had.insert(key);
            member.asks = Asks::Given(None);
        }
    }

    /// What these ask for, by what it is.
    fn take(&mut self, turns: &[usize]) -> Vec<Taken<K, X>> {
        let mut taken: Vec<Taken<K, X>> = Vec::new();
        for who in turns {
            let Some(member) = self.present.get_mut(who) else {
                continue;
            };
            if let Asks::For(key, x) = std::mem::replace(&mut member.asks, Asks::Nothing) {
                member.had.insert(key);
                match taken.iter_mut().find(|(known, ..)| *known == key) {
                    Some((_, whose, all)) => {
                        whose.push(*who);
                        all.push(x);
                    }
                    None => taken.push((key, vec![*who], vec![x])),
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    type Numbers = Meeting<&'static str, usize, usize>;

    /// What each thread is given as it asks for these keys, and how often work was done.
    fn met(asked: &[&[&'static str]]) -> (Vec<Vec<Option<usize>>>, usize) {
        let (meeting, done) = (Numbers::new(LONG), AtomicUsize::new(0));
        (0..asked.len()).for_each(|who| meeting.enter(who));
        let given = thread::scope(|scope| {
            let threads: Vec<_> = asked
                .iter()
                .enumerate()
                .map(|(who, keys)| {
                    let (meeting, done) = (&meeting, &done);
                    scope.spawn(move || {
                        let given = keys.iter().map(|key| {
                            meeting.ask(who, *key, who, |_, all| {
                                done.fetch_add(1, Ordering::Relaxed);
                                all.into_iter().map(|x| 10 * x).collect()
                            })
                        });
                        let given = given.collect::<Vec<_>>();
                        meeting.leave(who);
                        given
                    })
                })
                .collect();
            let threads = threads.into_iter();
            threads
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        (given, done.into_inner())
    }

    #[test]
    fn what_all_ask_for_is_done_once() {
        let keys: &[&str] = &["a", "b", "c", "b", "a"];
        let (given, done) = met(&[keys, keys, keys]);
        for (who, given) in given.iter().enumerate() {
            assert_eq!(*given, vec![Some(10 * who); keys.len()]);
        }
        assert_eq!(done, keys.len());
    }

    #[test]
    fn who_is_ahead_waits_for_the_others() {
        // The second asks for `h` twice more, as of a longer text whose scores are made in chunks.
        let (given, done) = met(&[&["a", "h", "b", "c"], &["a", "h", "h", "h", "b", "c"]]);
        assert_eq!(given.map_all(), vec![4, 6]);
        assert_eq!(done, 6);
    }

    trait Lengths {
        fn map_all(&self) -> Vec<usize>;
    }

    impl Lengths for Vec<Vec<Option<usize>>> {
        fn map_all(&self) -> Vec<usize> {
            self.iter().map(|of| of.iter().flatten().count()).collect()
        }
    }

    #[test]
    fn threads_that_have_nothing_in_common_do_not_wait_for_ever() {
        let (given, done) = met(&[&["a", "b", "x"], &["c", "d", "x", "e"]]);
        assert_eq!(given.map_all(), vec![3, 4]);
        assert!(done >= 6);
    }

    #[test]
    fn who_has_waited_for_long_goes_on() {
        let meeting = Numbers::new(Duration::from_millis(1));
        (0..2).for_each(|who| meeting.enter(who));
        assert_eq!(meeting.ask(0, "a", 1, |_, all| all), None);
    }

    #[test]
    fn a_panic_leaves_the_others_to_themselves() {
        let meeting = Numbers::new(LONG);
        (0..4).for_each(|who| meeting.enter(who));
        let outcomes: Vec<_> = thread::scope(|scope| {
            let meeting = &meeting;
            let threads: Vec<_> = ["a", "a", "b", "c"]
                .into_iter()
                .enumerate()
                .map(|(who, key)| {
                    scope.spawn(move || meeting.ask(who, key, who, |_, _| panic!("no result")))
                })
                .collect();
            threads
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect()
        });
        let panicked = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert_eq!(panicked, 1);
        assert!(outcomes.iter().flatten().all(Option::is_none));
        assert_eq!(meeting.ask(7, "a", 1, |_, all| all), None);
    }
}
