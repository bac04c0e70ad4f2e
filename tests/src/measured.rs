//! What a measured program prints of itself: how much trains, and its peak memory.

use std::io;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The number of parameters that require a gradient.
pub fn trainable(model: &impl Module) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let base = param.base();
            if base.is_require_grad() {
                self.0 += base.shape().num_elements();
            }
        }
    }
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

/// The high-water mark of this process's resident memory, in KiB.
///
/// # Errors
///
/// Those of [`status_kib`].
pub fn peak_kib() -> io::Result<u64> {
    status_kib("VmHWM")
}

/// What this process's status says under a name, in KiB.
///
/// # Errors
///
/// Where `/proc/self/status` cannot be read or does not say.
pub fn status_kib(name: &str) -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    number.ok_or_else(|| io::Error::other(format!("/proc/self/status has no {name}")))
}

/// How far `work` raises the high-water mark above what was held before it, in KiB. What was needed
/// for a moment before is no room for it to hide in.
///
/// # Panics
///
/// Where [`status_kib`] has an error.
pub fn grown_kib(work: impl FnOnce()) -> usize {
    let kib = |name| status_kib(name).expect("a system that says it") as usize;
    let before = kib("VmRSS");
    let spare = kib("VmHWM").saturating_sub(before);
    work();
    kib("VmHWM").saturating_sub(before).max(spare)
}
