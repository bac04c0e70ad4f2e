//! [`DeviceSums`]: sums of what lies on several devices.

use burn::tensor::Tensor;

/// A sum for each device, in the order in which the devices came.
#[derive(Default)]
pub(super) struct DeviceSums(Vec<Tensor<1>>);

impl DeviceSums {
    /// Add to the sum of its device.
    pub(super) fn add(&mut self, part: Tensor<1>) {
        let device = part.device();
        match self.0.iter_mut().find(|sum| sum.device() == device) {
            Some(sum) => *sum = sum.clone() + part,
            None => self.0.push(part),
        }
    }

    /// The sum of all, each device read once.
    pub(super) fn read(self) -> f64 {
        let read = |sum: Tensor<1>| f64::from(sum.into_scalar::<f32>());
        self.0.into_iter().map(read).fold(0.0, |a, b| a + b)
    }
}
