//! [`on_threads`]: the threads that share the work of kernels.

use std::error::Error;
use std::fmt;
use std::num::NonZero;

/// Bytes of a thread's stack, as many as a process's own usually has.
#[cfg(feature = "flex")]
const STACK: usize = 8 << 20;

/// How many threads there are was settled before, by an earlier call or by earlier work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadsSettled;

impl fmt::Display for ThreadsSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of threads is settled once in a process, and was settled before")
    }
}

impl Error for ThreadsSettled {}

/// Do `work` on one of so many threads, which share what kernels compute for the rest of the
/// process, or of one a core. Results have the same bits on any number.
///
/// On one of them and not beside them: who waits for a share of its work does another one
/// meanwhile, and need not be woken. For the products of one token, which are short, that is much
/// of their time. On other backends than `flex` it is `work` alone.
///
/// # Errors
///
/// [`ThreadsSettled`] where a number is asked for too late.
pub fn on_threads<T: Send>(
    threads: Option<NonZero<usize>>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, ThreadsSettled> {
    #[cfg(feature = "flex")]
    {
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.map_or(0, NonZero::get))
            .stack_size(STACK)
            .build_global();
        match built {
            Err(_) if threads.is_some() => Err(ThreadsSettled),
            Err(_) | Ok(()) => Ok(rayon::scope(|_| work())),
        }
    }
    #[cfg(not(feature = "flex"))]
    {
        let _ = threads; // a backend's own matter
        Ok(work())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_settled_once() {
        let two = NonZero::new(2);
        let first = on_threads(two, || 1);
        if cfg!(feature = "flex") && first.is_ok() {
            assert_eq!(on_threads(two, || 2), Err(ThreadsSettled));
        }
        assert_eq!(on_threads(None, || 3), Ok(3));
    }
}
