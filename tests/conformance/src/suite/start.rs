//! What a fresh adapter does, and what one with values does.

use peft_core::{ForwardPath, Placement, Targets};

use super::{BOTH, Device, attach, everywhere, verified};
use crate::{AdapterFixture, Invariant, Net, assert_close, assert_differs};

/// Fresh, the model gives the base's output.
pub fn starts_as_the_base<F: AdapterFixture>(device: &Device) {
    let Some(within) = F::STARTS_WITHIN else {
        return;
    };
    let base = Net::new(device);
    for path in BOTH {
        let mut model = base.clone();
        attach::<F>(&mut model, "a", &everywhere::<F>(path));
        for read in [path, ForwardPath::Factored] {
            assert_close(&model.output(read), &base.output(read), within);
        }
    }
    verified::<F>(Invariant::Identity, device);
}

/// With values it acts on each layer that it is on, and the output is finite.
pub fn acts<F: AdapterFixture>(device: &Device) {
    let base = Net::new(device);
    let mut everything = base.clone();
    let placement = everywhere::<F>(ForwardPath::Factored);
    let report = F::attach(&mut everything, "a", &placement).expect("it attaches");
    for layer in report.layers {
        let mut model = base.clone();
        let alone = Placement {
            targets: Targets::suffixes([layer.path]),
            ..placement.clone()
        };
        attach::<F>(&mut model, "a", &alone);
        let output = F::perturb(model).output(ForwardPath::Factored);
        assert!(output.clone().is_finite().all().into_scalar::<bool>());
        assert_differs(&output, &base.output(ForwardPath::Factored));
    }
    verified::<F>(Invariant::Acts, device);
}
