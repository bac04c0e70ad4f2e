//! VB-LoRA in PEFT's files.

use std::cell::RefCell;

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{AttachReport, Layer, PeftError};
use peft_vera::{Vblora, VbloraConfig};
use serde_json::{Map, Value, json};

use super::super::placement::{bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

/// The bank, `[vectors, vector_length]`.
const BANK: &str = "vblora_vector_bank";
/// The logits of `A`, `[rank, runs, vectors]`, and of `B`, `[runs, rank, vectors]`.
const LOGITS: [&str; 2] = ["vblora_logits_A", "vblora_logits_B"];
/// In their place, where a file has what is mixed alone: the vectors, `[…, k]`, from the largest
/// weight on, and the weights but for the last, `[…, k − 1]`, which is what is left of 1.
const PLACES: [&str; 2] = [
    "vblora_logits_A_topk_indices",
    "vblora_logits_B_topk_indices",
];
const WEIGHTS: [&str; 2] = [
    "vblora_logits_A_topk_weights",
    "vblora_logits_B_topk_weights",
];

impl WeightMethod for VbloraConfig {
    type Adapter = Vblora;
    const PEFT_TYPE: &'static str = "VBLORA";
    const TENSORS: &'static [&'static str] = &[
        LOGITS[0], LOGITS[1], PLACES[0], PLACES[1], WEIGHTS[0], WEIGHTS[1], BANK,
    ];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("vblora_only"))?;
        Ok(Self {
            rank: fields.count_or("r", 4)?,
            vectors: fields.count_or("num_vectors", 256)?,
            vector_length: fields.count_or("vector_length", 256)?,
            top_k: fields.count_or("topk", 2)?,
            dropout: fields.number_or_default("vblora_dropout", 0.0)?,
            bank_bound: fields.number_or_default("init_vector_bank_bound", 0.02)?,
            logits_deviation: fields.number_or_default("init_logits_std", 0.1)?,
            saves_top_k: fields.flag("save_only_topk_weights")?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Vblora>]) {
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "vblora_only"),
            "init_logits_std": self.logits_deviation,
            "init_vector_bank_bound": self.bank_bound,
            "num_vectors": self.vectors,
            "r": self.rank,
            "save_only_topk_weights": self.saves_top_k,
            "topk": self.top_k,
            "vblora_dropout": self.dropout,
            "vector_length": self.vector_length,
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
        let bank = |_: &Layer| {
            let shape = [self.vectors, self.vector_length];
            built(file.borrow_mut().take::<2>(None, BANK, shape))
        };
        self.attach_with(model, name, bank, |layer| {
            let mut file = file.borrow_mut();
            let shapes = self.logits_shapes(layer.shape);
            let [a, b] = [0, 1].map(|at| match self.saves_top_k {
                true => of_mixed(self, &mut file, layer, at, shapes[at]),
                false => built(file.take(Some(layer), LOGITS[at], shapes[at])),
            });
            Ok([a?, b?])
        })
    }

    fn tensors(of: &Vblora, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let both = [of.logits_a.val(), of.logits_b.val()];
        if !of.saves_top_k() {
            let data = both.map(Tensor::into_data);
            return LOGITS.into_iter().zip(data).collect();
        }
        let mut stored = Vec::new();
        for (at, logits) in both.into_iter().enumerate() {
            let [rows, columns, vectors] = logits.dims();
            let mixed = of.mixed(&logits);
            let k = of.top_k();
            let places = mixed.iter().flatten().map(|(place, _)| *place);
            let weights = mixed.iter().flat_map(|mixed| &mixed[..k - 1]);
            let weights: Vec<f32> = weights.map(|(_, weight)| *weight).collect();
            let shape = [rows, columns, k];
            // Of the least width that has them all, as PEFT's.
            let places = match vectors {
                0..0x100 => TensorData::new(places.map(|at| at as u8).collect(), shape),
                0x100..0x8000 => TensorData::new(places.map(|at| at as i16).collect(), shape),
                _ => TensorData::new(places.map(|at| at as i32).collect(), shape),
            };
            stored.push((PLACES[at], places));
            let weights = TensorData::new(weights, [rows, columns, k - 1]);
            stored.push((WEIGHTS[at], weights));
        }
        stored
    }

    fn shared_tensors(of: &Vblora) -> Vec<(&'static str, TensorData)> {
        vec![(BANK, of.bank.val().into_data())]
    }
}

/// Logits that mix what a file says.
fn of_mixed(
    config: &VbloraConfig,
    file: &mut LayerTensors<'_>,
    layer: &Layer,
    at: usize,
    shape: [usize; 3],
) -> Result<Tensor<3>, PeftError> {
    let [rows, columns, vectors] = shape;
    let k = config.top_k;
    let places = file.indices(Some(layer), PLACES[at], [rows, columns, k]);
    let weights = match k {
        // A tensor of nothing.
        1 => {
            file.pass_over(&format!("{}.{}", layer.path, WEIGHTS[at]));
            Some(Vec::new())
        }
        _ => {
            let weights = file.take::<3>(Some(layer), WEIGHTS[at], [rows, columns, k - 1]);
            weights.map(|weights| weights.into_data().iter::<f32>().collect())
        }
    };
    let (places, weights): (Vec<usize>, Vec<f32>) = built(places.zip(weights))?;
    if let Some(place) = places.iter().find(|place| **place >= vectors) {
        return Err(PeftError::InvalidSetting {
            field: format!("{} of `{}`", PLACES[at], layer.path),
            value: place.to_string(),
            expected: "below the number of vectors",
        });
    }
    let mut logits = Vec::with_capacity(rows * columns * vectors);
    for (at, places) in places.chunks_exact(k).enumerate() {
        let weights = &weights[at * (k - 1)..(at + 1) * (k - 1)];
        logits.extend(Vblora::logits_of(places, weights, vectors));
    }
    let data = TensorData::new(logits, shape);
    Ok(Tensor::from_data(data, (&layer.device, DType::F32)))
}
