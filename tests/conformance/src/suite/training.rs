//! What trains, and what does not.

use peft_core::ForwardPath;

use super::{BOTH, Device, attach, verified, with_all};
use crate::{
    AdapterFixture, Invariant, Net, adapter_paths, is_adapter, params, steps, trained,
    with_gradient,
};

/// Fresh and with values, on both paths: exactly the adapters' parameters have gradients, three
/// steps change each, and the base stays.
pub fn trains<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    for path in BOTH {
        let mut fresh = Net::new(device);
        attach::<F>(&mut fresh, "a", &with_all::<F>(path));
        let expected: Vec<String> = adapter_paths(&fresh)
            .into_iter()
            .filter(|path| !F::FROZEN.iter().any(|name| path.ends_with(name)))
            .collect();
        assert!(!expected.is_empty());
        for model in [fresh.clone(), F::perturb(fresh)] {
            assert_eq!(trained(&model), expected);
            let gradients = with_gradient(&model, &model.loss(path));
            assert!(gradients.keys().eq(&expected), "{:?}", gradients.keys());
            let before = params(&model);
            let (model, losses) = steps(model, 3, |model| model.loss(path));
            assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
            for (path, after) in params(&model) {
                let changed = after.data != before[&path].data;
                assert_eq!(changed, expected.contains(&path), "{path}");
                assert_eq!(after.trains, expected.contains(&path), "{path}");
                assert!(is_adapter(&path) || !changed);
            }
        }
        // With values, no gradient is zero: an adapter that weight decay alone moves would pass the
        // above.
        let mut model = Net::new(device);
        attach::<F>(&mut model, "a", &with_all::<F>(path));
        let model = F::perturb(model);
        for (path, gradient) in with_gradient(&model, &model.loss(path)) {
            assert!(
                gradient.iter::<f64>().any(|value| value.abs() > 1e-6),
                "the gradient of {path} is zero"
            );
        }
    }
    // And it learns.
    let mut model = Net::new(device);
    attach::<F>(&mut model, "a", &with_all::<F>(ForwardPath::Factored));
    let (_, losses) = steps(model, 20, |model| model.loss(ForwardPath::Factored));
    assert!(losses[19] < 0.9 * losses[0], "{losses:?}");
    verified::<F>(Invariant::Trains, device);
    verified::<F>(Invariant::Frozen, device);
}
