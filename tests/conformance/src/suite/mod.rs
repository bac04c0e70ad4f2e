//! The cases of [`adapter_suite!`](crate::adapter_suite), each a function of a device. Each panics
//! where the method breaks the invariant that it is about, and notes what it has verified; one that
//! does not apply to a method verifies nothing.

mod managing;
mod merging;
mod packed;
mod paths;
mod placing;
mod precision;
mod refusing;
mod routing;
mod start;
mod training;

use std::collections::BTreeMap;

pub use burn::tensor::Device;
use burn::tensor::{Tensor, TensorData};
use peft_core::{Adapter, ForwardPath, LayerKind, Placement, Targets, TrainBias, slots};

pub use managing::{
    another_changes_nothing_that_trains, detaches, names_are_whole, switches_off,
    waits_until_activated,
};
pub use merging::{a_merge_is_undone, merges, refuses_to_merge};
pub use packed::takes_a_packed_base;
pub use paths::{
    composes_in_order, embeds, forms_no_gradient_of_the_weights_shape, interpolates, paths_agree,
    rows_are_independent,
};
pub use placing::{goes_where_it_is_sent, moves, records, trains_biases_beside_it};
pub use precision::{gradients_are_finite_differences, takes_half_precision};
pub use refusing::{refuses_a_taken_name, refuses_what_cannot_be};
pub use routing::{replaces, rows_choose_their_adapter};
pub use start::{acts, starts_as_the_base};
pub use training::trains;

use crate::{AdapterFixture, Invariant, Net, params, replace};

const BOTH: [ForwardPath; 2] = [ForwardPath::Factored, ForwardPath::Weight];

/// Note that the method of a fixture was seen to keep an invariant.
fn verified<F: AdapterFixture>(invariant: Invariant, device: &Device) {
    invariant.verified(F::COLUMN, device);
}

/// The layers of [`Net`] that the method takes, by suffix; on the weight path only those that this
/// path carries.
fn names<F: AdapterFixture>(path: ForwardPath) -> Vec<&'static str> {
    let biased = path == ForwardPath::Factored || F::BIASED_IN_WEIGHT_SPACE;
    let mut names = Vec::new();
    if F::KINDS.contains(&LayerKind::Linear) {
        names.push("v_proj");
        if biased {
            names.extend(["q_proj", "down_proj", "head"]);
        }
    }
    if F::KINDS.contains(&LayerKind::Embedding) {
        names.push("embed");
    }
    names
}

/// Everything that the method takes, for a model that reads its layers on `path`.
fn everywhere<F: AdapterFixture>(path: ForwardPath) -> Placement {
    Placement {
        path,
        ..Placement::new(Targets::suffixes(names::<F>(path)))
    }
}

/// As [`everywhere`], with every bias and the norm trained beside it.
fn with_all<F: AdapterFixture>(path: ForwardPath) -> Placement {
    Placement {
        train_bias: TrainBias::All,
        whole_modules: vec!["norm".into()],
        ..everywhere::<F>(path)
    }
}

/// A fresh adapter of this name on a model.
#[track_caller]
fn attach<F: AdapterFixture>(model: &mut Net, name: &str, placement: &Placement) {
    let report = F::attach(model, name, placement).expect("it attaches");
    assert_eq!(
        (report.adapter.as_str(), report.method),
        (name, F::Adapter::NAME)
    );
}

/// A [`Net`] with adapters of these names, on the factored path and with values that matter; the
/// first is active.
fn adapted<F: AdapterFixture>(names: &[&str], device: &Device) -> Net {
    let mut model = Net::new(device);
    for name in names {
        attach::<F>(&mut model, name, &everywhere::<F>(ForwardPath::Factored));
    }
    F::perturb(model)
}

/// What a model computes whose parameters are replaced by what the adapters, in this order, make of
/// them by their definition.
fn by_hand<F: AdapterFixture>(model: &Net, order: &[(&str, f64)], device: &Device) -> Net {
    let stored = params(model);
    let mut values = BTreeMap::new();
    for (path, slot) in slots(model) {
        let adapters: Vec<(&F::Adapter, f64)> = order
            .iter()
            .filter_map(|(name, strength)| Some((slot.get(name)?, *strength)))
            .collect();
        let weight = fold::<F, 2>(&stored[&path].data, &adapters, device, |adapter, below| {
            adapter.weight(&below.into())
        });
        values.insert(path.clone(), weight);
        let bias = path.replace(".weight", ".bias");
        if let Some(seen) = stored.get(&bias) {
            let bias_of = |adapter: &F::Adapter, below| adapter.bias(below);
            values.insert(bias, fold::<F, 1>(&seen.data, &adapters, device, bias_of));
        }
    }
    replace(Net::new(device), values)
}

fn fold<F: AdapterFixture, const D: usize>(
    base: &TensorData,
    adapters: &[(&F::Adapter, f64)],
    device: &Device,
    apply: impl Fn(&F::Adapter, Tensor<D>) -> Tensor<D>,
) -> TensorData {
    let base = Tensor::from_data(base.clone(), device);
    let folded = adapters.iter().fold(base, |below, (adapter, strength)| {
        let above = apply(adapter, below.clone());
        below.clone() + (above - below).mul_scalar(*strength)
    });
    folded.into_data()
}
