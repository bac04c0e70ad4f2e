//! Adapters of weights beside LoRA, AdaLoRA and IA3.

use burn::module::Module;
use peft_conformance::{AdapterFixture, perturbed};
use peft_core::{AttachReport, PeftError, Placement, Targets};
use peft_lora::{Hira, HiraConfig, Miss, MissConfig};
use peft_lycoris::{LoHa, LoHaConfig, LoKr, LoKrConfig};
use peft_oft::{
    Blocks, Boft, BoftConfig, Cayley, Hra, HraConfig, Oft, OftConfig, Road, RoadConfig, RoadVariant,
};
use peft_tests::tolerance::PATHS;
use peft_vera::{RandLora, RandLoraConfig, Vblora, VbloraConfig, Vera, VeraConfig};

use super::raised;

/// LoHa of scale 1.5; of rank 1, since the products of a higher one are more work than the dense
/// change of layers as small as these.
pub(super) struct Hadamard;

impl AdapterFixture for Hadamard {
    type Adapter = LoHa;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoHaConfig::new(1, 1.5);
        config.settings.placement = placement.clone();
        config.attach(model, name)
    }

    /// Four values multiply.
    fn perturb<M: Module>(model: M) -> M {
        ["a1", "b1", "a2"]
            .into_iter()
            .fold(perturbed(model), |model, name| raised(model, name, 0.7))
    }
}

/// LoKr of scale 3, the second factor of rank 1 where its sides are above 2.
pub(super) struct Kronecker;

impl AdapterFixture for Kronecker {
    type Adapter = LoKr;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = LoKrConfig::new(1, 3.0);
        config.settings.placement = placement.clone();
        config.attach(model, name)
    }
}

/// VeRA.
pub(super) struct SharedVectors;

impl AdapterFixture for SharedVectors {
    type Adapter = Vera;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = VeraConfig::new(3);
        config.placement = placement.clone();
        config.attach(model, name)
    }

    /// A vector that begins at 0.1 and one at zero multiply.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "lambda_d", 0.7)
    }
}

/// RandLoRA of scale 2.
pub(super) struct SharedBases;

impl AdapterFixture for SharedBases {
    type Adapter = RandLora;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = RandLoraConfig::new(3, 6.0);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// OFT in blocks of about four, by the series.
pub(super) struct Rotated;

impl AdapterFixture for Rotated {
    type Adapter = Oft;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = OftConfig::new(Blocks::Size(4));
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// OFT in about two blocks, exact.
pub(super) struct RotatedExactly;

impl AdapterFixture for RotatedExactly {
    type Adapter = Oft;
    /// A product of what undoes itself is one up to rounding.
    const STARTS_WITHIN: Option<f32> = Some(PATHS);

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = OftConfig::new(Blocks::Number(2)).with_cayley(Cayley::Exact);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// BOFT in blocks that are the inputs.
pub(super) struct RotatedWhole;

impl AdapterFixture for RotatedWhole {
    type Adapter = Boft;
    /// A product of what undoes itself is one up to rounding.
    const STARTS_WITHIN: Option<f32> = Some(PATHS);

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = BoftConfig::new(Blocks::Number(1));
        config.placement = placement.clone();
        config.attach(model, name)
    }

    /// Scales are about one.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "scales", 0.8)
    }
}

/// HRA of two pairs.
pub(super) struct Reflected;

impl AdapterFixture for Reflected {
    type Adapter = Hra;
    /// A product of what undoes itself is one up to rounding.
    const STARTS_WITHIN: Option<f32> = Some(PATHS);

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = HraConfig::new(4);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// VB-LoRA of a bank of seven vectors of two values, but on the head.
pub(super) struct Mixed;

impl AdapterFixture for Mixed {
    type Adapter = Vblora;
    // A fresh one does something, as PEFT's.
    const STARTS_WITHIN: Option<f32> = None;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = VbloraConfig::new(2).with_bank(7, 2);
        config.placement = placement.clone();
        config.placement.targets = but_the_head(placement);
        config.attach(model, name)
    }

    /// Above zero in the mean, so that what is added does not nearly cancel out, beside which the
    /// rounding of f16 is large.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "bank", 0.3)
    }
}

/// The targets without the head: it has five outputs, which fall into no pairs.
pub(super) fn but_the_head(placement: &Placement) -> Targets {
    let targets = placement.targets.clone();
    match targets.exclude() {
        None => targets.excluding(["head"]),
        Some(_) => targets,
    }
}

/// RoAd in groups of two, but on the head.
pub(super) struct Turned;

impl AdapterFixture for Turned {
    type Adapter = Road;
    const BIASED_IN_WEIGHT_SPACE: bool = false;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = RoadConfig::new(2).with_variant(RoadVariant::Output);
        config.placement = placement.clone();
        config.placement.targets = but_the_head(placement);
        config.attach(model, name)
    }

    /// Scales are about one.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "alpha", 0.5)
    }
}

/// MiSS of a rank that divides few sides.
pub(super) struct Shared;

impl AdapterFixture for Shared {
    type Adapter = Miss;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = MissConfig::new(3);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// HiRA.
pub(super) struct Multiplied;

impl AdapterFixture for Multiplied {
    type Adapter = Hira;
    const DENSE: bool = true;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = HiraConfig::new(2);
        config.placement = placement.clone();
        config.attach(model, name)
    }

    /// Two values multiply with one of the weight.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "a", 0.8)
    }
}
