//! Targets of the kinds of files that `peft-mutate` changes.
//!
//! An input's first byte says which file of which sound directory it stands for, and the rest is
//! that file; where there is no rest, the sound file. Inputs are changed as `peft-mutate` does, by
//! format, and in one of three times as libFuzzer does.

#![cfg(feature = "burn")]

use std::cell::RefCell;
use std::process::abort;

use libfuzzer_sys::fuzzer_mutate;
use peft_mutate::{Kind, Sound};

/// A kind, in the thread that libFuzzer runs.
pub struct Target(RefCell<Sound<'static, 'static>>);

impl Target {
    /// A target of this kind.
    pub fn new(kind: Kind<'static>) -> Self {
        Self(RefCell::new(Sound::new(Box::leak(Box::new(kind)))))
    }

    /// Read an input; faults end the process.
    pub fn read(&self, input: &[u8]) {
        let mut sound = self.0.borrow_mut();
        let (place, bytes) = split(&sound, input);
        if let Err(fault) = sound.read(place, bytes) {
            eprintln!("{fault}");
            abort();
        }
    }

    /// Change an input in its place; its new length.
    pub fn mutate(&self, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
        let sound = self.0.borrow();
        let first = data.first().copied().unwrap_or(0);
        let (place, bytes) = split(&sound, &data[..size]);
        let changed = sound.mutated(u64::from(seed), place.name, bytes);
        if seed % 3 == 0 || changed.is_empty() || changed.len() >= max_size {
            return fuzzer_mutate(data, size, max_size);
        }
        data[0] = first;
        data[1..=changed.len()].copy_from_slice(&changed);
        changed.len() + 1
    }
}

fn split<'b>(sound: &Sound<'b, '_>, input: &'b [u8]) -> (peft_mutate::Place<'b>, &'b [u8]) {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    let place = sound.place(u64::from(*first));
    (place, if rest.is_empty() { place.bytes } else { rest })
}

/// The target of a kind.
#[macro_export]
macro_rules! of {
    ($kind:expr) => {
        thread_local! {
            static TARGET: $crate::Target = $crate::Target::new($kind);
        }

        libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET.with(|target| target.read(input)));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            TARGET.with(|target| target.mutate(data, size, max_size, seed))
        });
    };
}
