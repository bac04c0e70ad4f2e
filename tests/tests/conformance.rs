//! The generic suite, run over the methods of this workspace that adapt weights.

mod models;

use burn::module::Module;
use peft_conformance::{AdapterFixture, Invariant, verified};
use peft_core::{AttachReport, LayerKind, Names, PeftError, Placement, Whole};
use peft_ia3::{Ia3, Ia3Config};
use peft_lora::{Lora, LoraConfig, LoraInit, LoraScaling};

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
