//! The generic suite, run over the methods of this workspace that adapt weights.

mod models;
mod siblings;
mod spectral;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use peft_conformance::{AdapterFixture, Invariant, perturbed, verified};
use peft_core::{AttachReport, LayerKind, Names, PeftError, Placement, Whole, with_value};
use peft_ia3::{Ia3, Ia3Config};
use peft_lora::{AdaLora, AdaLoraConfig, Lora, LoraConfig, LoraInit, LoraScaling};
use peft_tests::tolerance::PATHS;

const BOTH_KINDS: &[LayerKind] = &[LayerKind::Linear, LayerKind::Embedding];

/// LoRA of scale 1.5.
struct Plain;

impl AdapterFixture for Plain {
    type Adapter = Lora;
    const KINDS: &'static [LayerKind] = BOTH_KINDS;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoraConfig::new(2, 3.0);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// rsLoRA of scale `3 / √3`, `A` from a normal distribution.
struct RankStabilised;

impl AdapterFixture for RankStabilised {
    type Adapter = Lora;
    const KINDS: &'static [LayerKind] = BOTH_KINDS;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoraConfig::new(3, 3.0)
            .with_scaling(LoraScaling::RankStabilised)
            .with_init(LoraInit::Gaussian);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// DoRA of scale 1.5.
struct Decomposed;

impl AdapterFixture for Decomposed {
    type Adapter = Lora;
    const COLUMN: &'static str = "dora";
    const KINDS: &'static [LayerKind] = BOTH_KINDS;
    const DETACHED: bool = true;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoraConfig::new(2, 3.0).with_dora(true);
        config.placement = placement.clone();
        config.attach(model, name)
    }

    /// Magnitudes are about what columns have: small ones would leave nothing of a signal.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "vector", 0.8)
    }
}

/// The model with so much more in every parameter of a name.
fn raised<M: Module>(model: M, name: &'static str, by: f32) -> M {
    struct Raise {
        name: &'static str,
        by: f32,
        here: bool,
    }
    impl ModuleMapper for Raise {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.here = name == self.name;
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.here {
                true => {
                    let value = param.val() + self.by;
                    with_value(param, value)
                }
                false => param,
            }
        }
    }
    let here = false;
    model.map(&mut Raise { name, by, here })
}

/// AdaLoRA with what an allocator knows.
struct Ranked;

impl AdapterFixture for Ranked {
    type Adapter = AdaLora;
    const FROZEN: &'static [&'static str] = &["sensitivity", "uncertainty", "importance.mask"];

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = AdaLoraConfig::new(2, 1, 3.0);
        config.placement = placement.clone();
        config.attach(model, name)
    }

    /// Values of directions multiply with both factors.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "lora_e", 1.0)
    }
}

/// LoRA whose `A` does not train, but on embeddings.
struct FrozenA;

impl AdapterFixture for FrozenA {
    type Adapter = Lora;
    const KINDS: &'static [LayerKind] = BOTH_KINDS;
    const FROZEN: &'static [&'static str] = &[
        "proj.weight.adapters.a.lora_a",
        "head.weight.adapters.a.lora_a",
    ];

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoraConfig::new(2, 3.0).with_freeze_a(true);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// LoRA that begins with the largest singular values of the weight.
struct Principal;

impl AdapterFixture for Principal {
    type Adapter = Lora;
    const KINDS: &'static [LayerKind] = BOTH_KINDS;
    /// The difference of two products is zero up to rounding.
    const STARTS_WITHIN: Option<f32> = Some(PATHS);
    const FROZEN: &'static [&'static str] = &["initial.a", "initial.b"];

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoraConfig::new(2, 3.0).with_init(LoraInit::Pissa);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// IA3 on outputs, biases included.
struct Outputs;

impl AdapterFixture for Outputs {
    type Adapter = Ia3;
    const BIASED_IN_WEIGHT_SPACE: bool = false;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = Ia3Config::new(placement.targets.clone());
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// IA3 on inputs.
struct Inputs;

impl AdapterFixture for Inputs {
    type Adapter = Ia3;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config =
            Ia3Config::new(placement.targets.clone()).with_feedforward(Names::Regex(".*".into()));
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// Weights trained whole.
struct Copies;

impl AdapterFixture for Copies {
    type Adapter = Whole<2>;
    const KINDS: &'static [LayerKind] = BOTH_KINDS;
    const DENSE: bool = true;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        peft_core::attach(model, name, placement, Self::KINDS, |layers| {
            let copy = |layer: &peft_core::Layer| Whole::new(layer.frozen_weight().dense());
            Ok(layers.iter().map(copy).collect())
        })
    }
}

mod lora {
    peft_tests::adapter_suite!(super::Plain);
}

mod rslora {
    peft_tests::adapter_suite!(super::RankStabilised);
}

mod dora {
    peft_tests::adapter_suite!(super::Decomposed);
}

mod adalora {
    peft_tests::adapter_suite!(super::Ranked);
}

mod lora_fa {
    peft_tests::adapter_suite!(super::FrozenA);
}

mod pissa {
    peft_tests::adapter_suite!(super::Principal);
}

mod loha {
    peft_tests::adapter_suite!(super::siblings::Hadamard);
}

mod lokr {
    peft_tests::adapter_suite!(super::siblings::Kronecker);
}

mod vera {
    peft_tests::adapter_suite!(super::siblings::SharedVectors);
}

mod randlora {
    peft_tests::adapter_suite!(super::siblings::SharedBases);
}

mod oft {
    peft_tests::adapter_suite!(super::siblings::Rotated);
}

mod oft_exact {
    peft_tests::adapter_suite!(super::siblings::RotatedExactly);
}

mod boft {
    peft_tests::adapter_suite!(super::siblings::RotatedWhole);
}

mod hra {
    peft_tests::adapter_suite!(super::siblings::Reflected);
}

/// Those cases that all methods pass, and others by name.
macro_rules! most_cases {
    ($fixture:ty $(, $case:ident)*) => {
        peft_tests::adapter_suite!(@cases $fixture:
            starts_as_the_base,
            acts,
            trains,
            gradients_are_finite_differences,
            paths_agree,
            merges,
            a_merge_is_undone,
            refuses_to_merge,
            switches_off,
            waits_until_activated,
            composes_in_order,
            interpolates,
            names_are_whole,
            detaches,
            refuses_a_taken_name,
            refuses_what_cannot_be,
            records,
            takes_half_precision,
            takes_a_packed_base,
            goes_where_it_is_sent,
            rows_are_independent,
            embeds,
            another_changes_nothing_that_trains,
            moves,
            rows_choose_their_adapter,
            replaces,
            $($case,)*
        );
    };
}

mod road {
    // Biases of all adapted layers are the head's too, on which it is not.
    most_cases!(
        super::siblings::Turned,
        forms_no_gradient_of_the_weights_shape
    );
}

mod vblora {
    most_cases!(
        super::siblings::Mixed,
        forms_no_gradient_of_the_weights_shape
    );
}

mod miss {
    peft_tests::adapter_suite!(super::siblings::Shared);
}

mod hira {
    peft_tests::adapter_suite!(super::siblings::Multiplied);
}

mod delora {
    peft_tests::adapter_suite!(super::spectral::Bounded);
}

mod gralora {
    most_cases!(
        super::spectral::Granular,
        forms_no_gradient_of_the_weights_shape
    );
}

// The gradient of the change's shape is no parameter's, but it is formed.
mod shira {
    most_cases!(super::spectral::Sparse, trains_biases_beside_it);
}

mod fourierft {
    peft_tests::adapter_suite!(super::spectral::Fourier);
}

mod c3a {
    most_cases!(super::spectral::Circulant);
}

mod waveft {
    most_cases!(super::spectral::Wavelets, trains_biases_beside_it);
}

mod ia3_outputs {
    peft_tests::adapter_suite!(super::Outputs);
}

mod ia3_inputs {
    peft_tests::adapter_suite!(super::Inputs);
}

mod whole {
    peft_tests::adapter_suite!(super::Copies);
}

/// Every invariant is a row of the table, whether anything was verified of it or not.
#[test]
fn every_invariant_has_a_row() {
    let mut rows: Vec<String> = Invariant::ALL.map(Invariant::row).into();
    for row in &rows {
        verified("conformance", row, "", "");
    }
    assert!(rows.is_sorted());
    rows.dedup();
    assert_eq!(rows.len(), Invariant::ALL.len());
}
