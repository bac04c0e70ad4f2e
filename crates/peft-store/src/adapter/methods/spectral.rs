//! FourierFT, C3A and WaveFT in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, Patterns, PeftError};
use peft_spectral::{
    C3a, C3aConfig, FourierFt, FourierFtConfig, SpectrumSettings, WaveFt, WaveFtBasis,
    WaveFtConfig, Wavelet,
};
use serde_json::{Map, Value, json};

use super::super::placement::{LayerFields, bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::lora::number;
use super::{DefaultTargets, LayerAdapter, LayerForm, WeightMethod, insert, lora_targets};
use crate::fields::{FieldError, Fields, as_count};

fn read_settings(
    fields: &Fields<'_>,
    (coefficients, scaling): (usize, f64),
    bias: &str,
) -> Result<SpectrumSettings, FieldError> {
    let mut placement = read_placement(fields)?;
    placement.train_bias = read_bias(fields, Some(bias))?;
    let seed = fields.read("random_loc_seed", "a whole number", Value::as_u64)?;
    Ok(SpectrumSettings {
        coefficients: fields.count_or("n_frequency", coefficients)?,
        pattern: Patterns::new(fields.patterns("n_frequency_pattern", as_count)?),
        scaling: fields.number_or_default("scaling", scaling)?,
        seed: seed.unwrap_or(777),
        placement,
    })
}

fn write_settings(of: &SpectrumSettings, bias: &str, fields: &mut Map<String, Value>) {
    let own = json!({
        "bias": bias_value(of.placement.train_bias, bias),
        "init_weights": true,
        "n_frequency": of.coefficients,
        "n_frequency_pattern": counts(&of.pattern),
        "random_loc_seed": of.seed,
        "scaling": number(of.scaling),
    });
    insert(fields, own);
}

fn counts(patterns: &Patterns<usize>) -> Map<String, Value> {
    let counts = patterns.iter();
    counts.map(|(at, n)| (at.to_owned(), json!(n))).collect()
}

fn kept(patterns: &Patterns<usize>, layers: &[String]) -> Patterns<usize> {
    let paths: Vec<&str> = layers.iter().map(String::as_str).collect();
    patterns.matching_any(&paths)
}

/// LoRA's but for one family.
fn wave_targets(family: &str) -> DefaultTargets {
    match family {
        "gpt2" => vec![("target_modules", &["mlp.c_proj"])],
        other => lora_targets(other),
    }
}

impl WeightMethod for FourierFtConfig {
    type Adapter = FourierFt;
    const PEFT_TYPE: &'static str = "FOURIERFT";
    const TENSORS: &'static [&'static str] = &["fourierft_spectrum"];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let settings = read_settings(fields, (1000, 150.0), "fourierft_only")?;
        Ok(Self { settings })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, FourierFt>]) {
        write_settings(&self.settings, "fourierft_only", fields);
    }

    fn default_targets(family: &str) -> DefaultTargets {
        wave_targets(family)
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        self.settings.pattern = kept(&self.settings.pattern, layers);
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, n| {
            built(file.take(Some(layer), "fourierft_spectrum", [n]))
        })
    }

    fn tensors(of: &FourierFt, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![("fourierft_spectrum", of.spectrum.val().into_data())]
    }
}

impl WeightMethod for WaveFtConfig {
    type Adapter = WaveFt;
    const PEFT_TYPE: &'static str = "WAVEFT";
    const TENSORS: &'static [&'static str] = &["waveft_spectrum"];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let basis = match fields.flag_or("use_idwt", true)? {
            false => WaveFtBasis::Places,
            true => {
                let name = fields.string("wavelet_family")?.unwrap_or("db1");
                let names = || Wavelet::names().collect::<Vec<_>>().join(", ");
                let wavelet = Wavelet::of_name(name);
                WaveFtBasis::Wavelet(
                    wavelet.ok_or_else(|| fields.unsupported("wavelet_family", names()))?,
                )
            }
        };
        Ok(Self {
            settings: read_settings(fields, (2592, 25.0), "waveft_only")?,
            basis,
            proportional: fields.flag_or("proportional_parameters", false)?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, WaveFt>]) {
        write_settings(&self.settings, "waveft_only", fields);
        let (wavelet, transforms) = match self.basis {
            WaveFtBasis::Wavelet(wavelet) => (wavelet.name(), true),
            WaveFtBasis::Places => ("db1", false),
        };
        let own = json!({
            "proportional_parameters": self.proportional,
            "use_idwt": transforms,
            "wavelet_family": wavelet,
        });
        insert(fields, own);
    }

    fn default_targets(family: &str) -> DefaultTargets {
        wave_targets(family)
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        self.settings.pattern = kept(&self.settings.pattern, layers);
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, n| {
            built(file.take(Some(layer), "waveft_spectrum", [n]))
        })
    }

    fn tensors(of: &WaveFt, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![("waveft_spectrum", of.spectrum.val().into_data())]
    }
}

impl WeightMethod for C3aConfig {
    type Adapter = C3a;
    const PEFT_TYPE: &'static str = "C3A";
    const TENSORS: &'static [&'static str] = &["c3a_kernel"];
    const LAYER_FIELDS: LayerFields = LayerFields {
        exclude: false,
        ..LayerFields::CHOICE
    };

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("c3a_only"))?;
        Ok(Self {
            block_size: fields.count_or("block_size", 256)?,
            block_size_pattern: Patterns::new(fields.patterns("block_size_pattern", as_count)?),
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, C3a>]) {
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "c3a_only"),
            "block_size": self.block_size,
            "block_size_pattern": counts(&self.block_size_pattern),
            "init_weights": true,
        });
        insert(fields, own);
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        self.block_size_pattern = kept(&self.block_size_pattern, layers);
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, shape| {
            built(file.take(Some(layer), "c3a_kernel", shape))
        })
    }

    fn tensors(of: &C3a, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![("c3a_kernel", of.kernel.val().into_data())]
    }
}
