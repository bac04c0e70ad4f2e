//! VeRA and RandLoRA in PEFT's files.

use std::cell::RefCell;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use peft_core::{AttachReport, PeftError};
use peft_vera::{RandLora, RandLoraConfig, Vera, VeraConfig};
use serde_json::{Map, Value, json};

use super::super::placement::{LayerFields, bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::lora::number;
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

const LAYER_FIELDS: LayerFields = LayerFields {
    exclude: false,
    ..LayerFields::ALL
};

fn seed(fields: &Fields<'_>) -> Result<u64, FieldError> {
    let seed = fields.read("projection_prng_key", "a whole number", Value::as_u64)?;
    Ok(seed.unwrap_or(0))
}

impl WeightMethod for VeraConfig {
    type Adapter = Vera;
    const PEFT_TYPE: &'static str = "VERA";
    const TENSORS: &'static [&'static str] = &["vera_lambda_b", "vera_lambda_d"];
    const LAYER_FIELDS: LayerFields = LAYER_FIELDS;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("vera_only"))?;
        Ok(Self {
            rank: fields.count_or("r", 256)?,
            d_initial: fields.number_or_default("d_initial", 0.1)?,
            dropout: fields.number_or_default("vera_dropout", 0.0)?,
            seed: seed(fields)?,
            saves_projection: fields.flag_or("save_projection", true)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Vera>]) {
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "vera_only"),
            "d_initial": self.d_initial,
            "init_weights": true,
            "projection_prng_key": self.seed,
            "r": self.rank,
            "save_projection": self.saves_projection,
            "vera_dropout": self.dropout,
        });
        insert(fields, own);
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
        let file = RefCell::new(file);
        let shared = |[d_in, d_out]: [usize; 2]| {
            if !self.saves_projection {
                return Ok(self.projections([d_in, d_out]));
            }
            let mut file = file.borrow_mut();
            let a = file.take::<2>(None, "vera_A", [self.rank, d_in]);
            let b = file.take::<2>(None, "vera_B", [d_out, self.rank]);
            built(a.zip(b)).map(|(a, b)| [a.into_data(), b.into_data()])
        };
        self.attach_with(model, name, shared, |layer| {
            let mut file = file.borrow_mut();
            let d = file.take(Some(layer), "vera_lambda_d", [self.rank]);
            let b = file.take(Some(layer), "vera_lambda_b", [layer.shape[1]]);
            built(d.zip(b)).map(|(d, b)| [d, b])
        })
    }

    fn tensors(vera: &Vera, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![
            ("vera_lambda_b", vera.lambda_b.val().into_data()),
            ("vera_lambda_d", vera.lambda_d.val().into_data()),
        ]
    }

    fn shared_tensors(vera: &Vera) -> Vec<(&'static str, TensorData)> {
        let [a, b] = vera.projections().map(|shared| shared.value());
        match vera.saves_projection() {
            true => vec![
                ("vera_A", a.transpose().into_data()),
                ("vera_B", b.into_data()),
            ],
            false => Vec::new(),
        }
    }
}

impl WeightMethod for RandLoraConfig {
    type Adapter = RandLora;
    const PEFT_TYPE: &'static str = "RANDLORA";
    const TENSORS: &'static [&'static str] = &[
        "randlora_lambda",
        "randlora_gamma",
        "randlora_A",
        "randlora_B",
    ];
    const LAYER_FIELDS: LayerFields = LAYER_FIELDS;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("randlora_only"))?;
        // PEFT draws them in a precision that is the machine's.
        if !fields.flag_or("save_projection", true)? {
            return Err(fields.unsupported("save_projection", "true: a file that has the matrices"));
        }
        Ok(Self {
            rank: fields.count_or("r", 32)?,
            alpha: fields.number_or_default("randlora_alpha", 640.0)?,
            dropout: fields.number_or_default("randlora_dropout", 0.0)?,
            seed: seed(fields)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, RandLora>]) {
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "randlora_only"),
            "init_weights": true,
            "projection_prng_key": self.seed,
            "r": self.rank,
            "randlora_alpha": number(self.alpha),
            "randlora_dropout": self.dropout,
            "save_projection": true,
            "sparse": false,
            "very_sparse": false,
        });
        insert(fields, own);
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
        let file = RefCell::new(file);
        let shared = |[d_in, d_out]: [usize; 2]| {
            let (smaller, larger) = (d_in.min(d_out), d_in.max(d_out));
            let (rank, n) = (self.rank, self.n_bases(smaller));
            let mut file = file.borrow_mut();
            let a = file.take::<3>(None, "randlora_A", [rank, 1, smaller]);
            let b = file.take::<3>(None, "randlora_B", [larger, n, rank]);
            let (a, b) = built(a.zip(b))?;
            let a: Tensor<2> = a.reshape([rank, smaller]);
            let b: Tensor<2> = b.reshape([larger, n * rank]);
            Ok([a.into_data(), b.into_data()])
        };
        self.attach_with(model, name, shared, |layer, n, smaller| {
            let mut file = file.borrow_mut();
            // PEFT writes the shared matrices once more for each layer.
            file.pass_over(&format!("{}.randlora_A", layer.path));
            file.pass_over(&format!("{}.randlora_B", layer.path));
            let lambda = file.take(Some(layer), "randlora_lambda", [self.rank, n]);
            let gamma = file.take(Some(layer), "randlora_gamma", [n, smaller]);
            built(lambda.zip(gamma)).map(|(lambda, gamma)| [lambda, gamma])
        })
    }

    fn tensors(of: &RandLora, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![
            ("randlora_lambda", of.lambda.val().into_data()),
            ("randlora_gamma", of.gamma.val().into_data()),
        ]
    }

    fn shared_tensors(of: &RandLora) -> Vec<(&'static str, TensorData)> {
        let [a, b] = of.projections().map(|shared| shared.value());
        let ([rank, smaller], [larger, columns]) = (a.dims(), b.dims());
        let a = a.reshape([rank, 1, smaller]).into_data();
        let b = b.reshape([larger, columns / rank, rank]).into_data();
        vec![("randlora_A", a), ("randlora_B", b)]
    }
}
