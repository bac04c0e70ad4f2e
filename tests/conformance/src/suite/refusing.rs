//! What is refused, and that it changes nothing.

use peft_core::{ForwardPath, LayerKind, PeftError, Placement, Targets};

use super::{BOTH, Device, adapted, everywhere, names, verified};
use crate::{AdapterFixture, Invariant, Net, params, slot_state};

/// Every bit of a model that a request could change.
fn all(
    model: &Net,
) -> (
    Vec<String>,
    std::collections::BTreeMap<String, crate::ParamSnapshot>,
) {
    (slot_state(model), params(model))
}

/// A taken name is refused, on the same layers and on others.
pub fn refuses_a_taken_name<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let mut model = adapted::<F>(&["a", "b"], device);
    let before = all(&model);
    let name = names::<F>(ForwardPath::Factored)[0];
    let one = Placement {
        targets: Targets::suffixes([name]),
        ..everywhere::<F>(ForwardPath::Factored)
    };
    for placement in [everywhere::<F>(ForwardPath::Factored), one] {
        for taken in ["a", "b"] {
            let error = F::attach(&mut model, taken, &placement);
            let expected = PeftError::DuplicateAdapter { name: taken.into() };
            assert_eq!(error, Err(expected));
            assert_eq!(all(&model), before);
        }
    }
    verified::<F>(Invariant::Duplicate, device);
}

/// Every mistake is an error, with a plain model and with an adapted one as they were.
pub fn refuses_what_cannot_be<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let names = names::<F>(ForwardPath::Factored);
    let placement = |targets: Targets| Placement {
        targets,
        ..everywhere::<F>(ForwardPath::Factored)
    };
    let good = || Targets::suffixes(names.clone());
    let mut wrong = vec![
        placement(Targets::suffixes(["nothing"])),
        placement(Targets::suffixes(names.iter().copied().chain(["nothing"]))),
        placement(Targets::regex("(")),
        placement(Targets::suffixes(["norm"])),
        placement(Targets::suffixes(["layers"])),
        placement(good().excluding(names.clone())),
        placement(good().excluding(["nothing"])),
    ];
    if F::KINDS.contains(&LayerKind::Linear) {
        wrong.push(placement(good().last(4)));
        wrong.push(placement(good().first(0)));
    }
    if !F::KINDS.contains(&LayerKind::Embedding) {
        wrong.push(placement(Targets::suffixes(["embed"])));
    }
    let mut missing = placement(good());
    missing.whole_modules = vec!["nothing".into()];
    let mut twice = placement(good());
    twice.whole_modules = vec![names[0].into()];
    wrong.extend([missing, twice]);
    for mut model in [Net::new(device), adapted::<F>(&["b"], device)] {
        let before = all(&model);
        for placement in &wrong {
            let found = F::attach(&mut model, "a", placement);
            assert!(found.is_err(), "{placement:?}");
            assert_eq!(all(&model), before, "{placement:?}");
        }
        for name in ["", "a.b", "a b", "ä"] {
            let found = F::attach(&mut model, name, &placement(good()));
            let refused = matches!(found, Err(PeftError::InvalidAdapterName { .. }));
            assert!(refused, "{name}");
            assert_eq!(all(&model), before, "{name}");
        }
    }
    // A weight path that cannot carry it says so.
    let mut model = Net::new(device);
    let before = all(&model);
    for path in BOTH {
        let biased = Placement {
            path,
            ..placement(good())
        };
        if path == ForwardPath::Weight && !F::BIASED_IN_WEIGHT_SPACE {
            let found = F::attach(&mut model, "a", &biased);
            assert!(matches!(found, Err(PeftError::NeedsFactoredPath { .. })));
            assert_eq!(all(&model), before);
        } else {
            F::attach(&mut Net::new(device), "a", &biased).expect("it attaches");
        }
    }
    verified::<F>(Invariant::Refused, device);
}
