//! [`InputProbe`]: an adapter that changes nothing and keeps what its layer reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{
    Adapter, ForwardPath, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind, PeftError,
    Placement, attach,
};

use crate::LoraConfig;

/// Rows of a layer's input: their width and their values.
pub(super) type Rows = (usize, Vec<f32>);

/// What the probes of a model have read since it was last taken, layer by layer.
#[derive(Debug, Clone, Default)]
pub struct InputReader(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
struct Read {
    counting: Vec<i32>,
    layers: BTreeMap<usize, Rows>,
}

impl InputReader {
    /// These rows of the text that runs next count, by their positions; the others are passed over.
    pub fn count(&self, positions: impl IntoIterator<Item = usize>) {
        let positions = positions.into_iter();
        let positions = positions.filter_map(|at| i32::try_from(at).ok());
        self.lock(|read| read.counting = positions.collect());
    }

    pub(super) fn take(&self) -> BTreeMap<usize, Rows> {
        self.lock(|read| std::mem::take(&mut read.layers))
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Read) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stands on a layer whose inputs are looked at.
#[derive(Module, Debug)]
pub(super) struct InputProbe {
    #[module(skip)]
    at: usize,
    #[module(skip)]
    reader: InputReader,
}

impl InputProbe {
    pub(super) fn new(at: usize, reader: InputReader) -> Self {
        Self { at, reader }
    }
}

impl Adapter for InputProbe {
    const NAME: &'static str = "input-probe";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense()
    }

    fn needs_factored_path(&self, _training: bool) -> Option<&'static str> {
        Some("it looks at the layer's input")
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let rows = x.rows().without_autodiff();
        let [n, width] = rows.dims();
        let counting = self.reader.lock(|read| read.counting.clone());
        let counting: Vec<i32> = counting
            .into_iter()
            .filter(|at| (*at as usize) < n)
            .collect();
        if !counting.is_empty() {
            let count = counting.len();
            let counting = TensorData::new(counting, [count]);
            let counting = Tensor::<1, Int>::from_data(counting, &rows.device());
            let values = rows.select(0, counting).into_data();
            self.reader.lock(|read| {
                let known = read
                    .layers
                    .entry(self.at)
                    .or_insert_with(|| (width, Vec::new()));
                known.1.extend(values.iter::<f32>());
            });
        }
        base.forward(x)
    }
}

/// The name of the probes in the copy of the model that is looked at.
const PROBE: &str = "inputs";

/// A copy of the model with a probe on each layer that `config` adapts, and these layers.
pub(super) fn on_inputs<M: Module>(
    config: &LoraConfig,
    model: &M,
    reader: &InputReader,
) -> Result<(M, Vec<Layer>), PeftError> {
    probed(config, model, PROBE, |at, _| {
        InputProbe::new(at, reader.clone())
    })
}

/// A copy of the model with what `probe` makes of each layer that `config` adapts, by its place
/// among them, and these layers.
pub(super) fn probed<M: Module, A: Adapter>(
    config: &LoraConfig,
    model: &M,
    name: &str,
    probe: impl Fn(usize, &Layer) -> A,
) -> Result<(M, Vec<Layer>), PeftError> {
    let mut probed = model.clone();
    let mut found = Vec::new();
    let placement = Placement {
        whole_modules: Vec::new(),
        token_rows: None,
        path: ForwardPath::Factored,
        ..config.placement.clone()
    };
    let kinds = [LayerKind::Linear, LayerKind::Embedding];
    attach(&mut probed, name, &placement, &kinds, |layers| {
        found = layers.to_vec();
        let probes = layers.iter().enumerate();
        Ok(probes.map(|(at, layer)| probe(at, layer)).collect())
    })?;
    Ok((probed, found))
}
