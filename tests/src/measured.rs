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
/// Where `/proc/self/status` cannot be read or does not say.
pub fn peak_kib() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| io::Error::other("/proc/self/status has no VmHWM"))
}
