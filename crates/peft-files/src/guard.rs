//! [`guarded`]: panics of a library on what a file holds, as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread's panics are caught here and told as errors.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, and gives what it panics with as text. Nothing of it is printed: the panic hook
/// passes over this thread meanwhile, and over no other.
///
/// What `work` has changed when it panics is to be dropped, or not to be looked at again.
///
/// # Errors
///
/// What it panicked with.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let was = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(was);
    result.map_err(|payload| format!("its library panics: {}", message(payload.as_ref())))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("without a word").chars().take(200).collect()
}
