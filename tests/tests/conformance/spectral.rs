//! More of LoRA's likes, and changes of weights that are made of waves or lie at few places.

use burn::module::Module;
use peft_conformance::{AdapterFixture, perturbed};
use peft_core::{AttachReport, PeftError, Placement};
use peft_lora::{Delora, DeloraConfig, Gralora, GraloraConfig, Shira, ShiraConfig};
use peft_spectral::{C3a, C3aConfig, FourierFt, FourierFtConfig, WaveFt, WaveFtConfig};

use super::raised;
use super::siblings::but_the_head;

/// DeLoRA of a bound of 3.
pub(super) struct Bounded;

impl AdapterFixture for Bounded {
    type Adapter = Delora;
    const FROZEN: &'static [&'static str] = &["norms"];

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = DeloraConfig::new(2).with_lambda(3.0);
        config.placement = placement.clone();
        config.attach(model, name)
    }

    /// A bound and norms multiply the factors.
    fn perturb<M: Module>(model: M) -> M {
        raised(raised(perturbed(model), "lambda", 3.0), "norms", 1.0)
    }
}

/// GraLoRA of two blocks along each side and a LoRA beside them, but on the head.
pub(super) struct Granular;

impl AdapterFixture for Granular {
    type Adapter = Gralora;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = GraloraConfig::new(2, 6.0).with_hybrid_rank(1);
        config.placement = placement.clone();
        config.placement.targets = but_the_head(placement);
        config.attach(model, name)
    }
}

/// SHiRA.
pub(super) struct Sparse;

impl AdapterFixture for Sparse {
    type Adapter = Shira;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = ShiraConfig::new(1);
        config.placement = placement.clone();
        config.attach(model, name)
    }
}

/// FourierFT of one coefficient, of scale 40.
pub(super) struct Fourier;

impl AdapterFixture for Fourier {
    type Adapter = FourierFt;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = FourierFtConfig::new(1, 40.0);
        config.settings.placement = placement.clone();
        config.attach(model, name)
    }
}

/// C3A but on the head, in blocks of 2, which are so small that the dense change is less work.
pub(super) struct Circulant;

impl AdapterFixture for Circulant {
    type Adapter = C3a;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = C3aConfig::new(2);
        config.placement = placement.clone();
        config.placement.targets = but_the_head(placement);
        config.attach(model, name)
    }

    /// Above zero in the mean, so that what is added does not nearly cancel out, beside which the
    /// rounding of f16 is large.
    fn perturb<M: Module>(model: M) -> M {
        raised(perturbed(model), "kernel", 0.4)
    }
}

/// WaveFT of a wavelet with a filter of four.
pub(super) struct Wavelets;

impl AdapterFixture for Wavelets {
    type Adapter = WaveFt;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        let mut config = WaveFtConfig::new(6, 3.0);
        config.settings.placement = placement.clone();
        config.attach(model, name)
    }
}
