//! Columns with factors, and which tensors are one.

use burn::tensor::{Device, Tensor};
use peft_kernels::{is_same_tensor, multiplies_packed, scale_columns};

use super::{agree, differentiated, of};

peft_tests::cases!(scaled_columns, tensors_are_told_apart);

fn scaled_columns(device: &Device) {
    for device in differentiated(device) {
        for tracked in [[true, true], [true, false], [false, true]] {
            // More than one run of a pass, and no whole number of them.
            let x = of([700, 37], 1.0, &device).set_require_grad(tracked[0]);
            let factors = of([37], 2.0, &device).set_require_grad(tracked[1]);
            let inputs: [&dyn Fn() -> Tensor<2>; 3] = [&|| x.clone(), &|| x.clone() * 2.0, &|| {
                x.clone().reshape([37, 700]).transpose()
            }];
            for input in inputs {
                agree(
                    || scale_columns(input(), factors.clone()),
                    || input() * factors.clone().unsqueeze(),
                    &[&x, &factors],
                );
            }
        }
    }
}

/// A tensor is told from a copy, from a part and from another view of it; where a backend does not
/// tell, it is never taken for another.
fn tensors_are_told_apart(device: &Device) {
    let x = of::<2>([5, 5], 1.0, device);
    let tells = multiplies_packed(device);
    assert_eq!(is_same_tensor(&x, &x.clone()), tells);
    assert_eq!(is_same_tensor(&x, &x.clone().autodiff()), tells);
    for other in [
        x.clone() + 0.0,
        of([5, 5], 1.0, device),
        x.clone().transpose(),
        x.clone().narrow(0, 1, 4),
    ] {
        assert!(!is_same_tensor(&x, &other));
    }
}
