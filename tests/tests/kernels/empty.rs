//! Tensors without elements, on the cores: shaders are not asked for them.

use burn::tensor::{Device, Tensor};
use peft_kernels::{Activation, rms_norm, softmax};

peft_tests::cases!(on the cores: nothing_is_fine);

/// No rows.
fn nothing_is_fine(device: &Device) {
    for device in super::differentiated(device) {
        let none = || Tensor::<3>::zeros([2, 0, 3], &device).require_grad();
        assert_eq!(Activation::Silu.apply(none()).dims(), [2, 0, 3]);
        assert_eq!(softmax(none()).dims(), [2, 0, 3]);
        let scale = Tensor::ones([1, 1, 3], &device);
        assert_eq!(rms_norm(none(), scale, 1e-6).dims(), [2, 0, 3]);
    }
}
