//! The encoder of P-Tuning as the state of PEFT's `PromptEncoder`, which PEFT trains and does not
//! save.
//!
//! PyTorch lays a linear layer `[out, in]`, and an LSTM's four gates on top of each other: input,
//! forget, cell, output.

use burn::module::Param;
use burn::nn::{Linear, Lstm};
use burn::tensor::{DType, Device, Tensor};
use peft_ptuning::{PTuningConfig, PromptEncoder, PromptEncoderConfig, SoftPrompt};

use super::super::AdapterFileError;
use super::super::tensors::{NamedTensors, TensorsFile};

/// The key of what the encoder makes the vectors of.
const INPUTS: &str = "embedding.weight";

/// Linear layers of one shape on top of each other.
struct Stack {
    weight: String,
    bias: String,
    n: usize,
    d_in: usize,
    d_out: usize,
}

impl Stack {
    fn linear(name: &str, d_in: usize, d_out: usize) -> Self {
        Self {
            weight: format!("{name}.weight"),
            bias: format!("{name}.bias"),
            n: 1,
            d_in,
            d_out,
        }
    }

    fn gates(side: &str, at: &str, d_in: usize, d_out: usize) -> Self {
        Self {
            weight: format!("lstm_head.weight_{side}_{at}"),
            bias: format!("lstm_head.bias_{side}_{at}"),
            n: 4,
            d_in,
            d_out,
        }
    }

    fn weight_shape(&self) -> [usize; 2] {
        [self.n.saturating_mul(self.d_out), self.d_in]
    }
}

/// The stacks of an encoder, in the order of [`linears`].
fn stacks(encoder: &PromptEncoderConfig, d_model: usize, hidden: usize) -> Vec<Stack> {
    let both = hidden.saturating_mul(2);
    match *encoder {
        PromptEncoderConfig::Mlp => vec![
            Stack::linear("mlp_head.0", d_model, hidden),
            Stack::linear("mlp_head.2", hidden, hidden),
            Stack::linear("mlp_head.4", hidden, d_model),
        ],
        PromptEncoderConfig::Lstm { n_layers, .. } => {
            let layer = |i: usize| {
                let d_in = if i == 0 { d_model } else { both };
                let direction = move |end: &str| {
                    let at = format!("l{i}{end}");
                    let input = Stack::gates("ih", &at, d_in, hidden);
                    [input, Stack::gates("hh", &at, hidden, hidden)]
                };
                [direction(""), direction("_reverse")].into_iter().flatten()
            };
            let mut stacks: Vec<Stack> = (0..n_layers).flat_map(layer).collect();
            stacks.push(Stack::linear("mlp_head.0", both, both));
            stacks.push(Stack::linear("mlp_head.2", both, d_model));
            stacks
        }
    }
}

/// The linear layers of an encoder, stack by stack.
fn linears(encoder: &mut PromptEncoder) -> Vec<Vec<&mut Linear>> {
    match encoder {
        PromptEncoder::Mlp(mlp) => {
            vec![
                vec![&mut mlp.first],
                vec![&mut mlp.second],
                vec![&mut mlp.third],
            ]
        }
        PromptEncoder::Lstm(encoder) => {
            let layers = encoder.layers.iter_mut();
            let mut all: Vec<Vec<&mut Linear>> = layers
                .flat_map(|layer| [&mut layer.forward, &mut layer.reverse])
                .flat_map(gates)
                .collect();
            all.push(vec![&mut encoder.first]);
            all.push(vec![&mut encoder.second]);
            all
        }
    }
}

/// What the gates do to the input, and what to the state.
fn gates(lstm: &mut Lstm) -> [Vec<&mut Linear>; 2] {
    let order = [&mut lstm.input_gate]
        .into_iter()
        .chain(lstm.forget_gate.as_mut())
        .chain([&mut lstm.cell_gate, &mut lstm.output_gate]);
    let pairs = order.map(|gate| (&mut gate.input_transform, &mut gate.hidden_transform));
    let (input, state) = pairs.unzip();
    [input, state]
}

/// The tensors of an encoder with their shapes, and of what goes into it; none where the prompt has
/// no encoder.
pub(super) fn state(prompt: &SoftPrompt) -> Option<NamedTensors> {
    let mut encoder = prompt.encoder.clone()?;
    let (config, hidden) = encoder.config();
    let inputs = prompt.inputs.val();
    let [_, d_model] = inputs.dims();
    let mut tensors = vec![(INPUTS.to_owned(), inputs.into_data())];
    let names = stacks(&config, d_model, hidden);
    for (stack, linears) in names.into_iter().zip(linears(&mut encoder)) {
        let weights: Vec<_> = linears.iter().map(|l| l.weight.val().transpose()).collect();
        let biases: Vec<_> = linears
            .iter()
            .filter_map(|l| Some(l.bias.as_ref()?.val()))
            .collect();
        let weight = Tensor::cat(weights, 0);
        let bias = Tensor::cat(biases, 0);
        tensors.push((stack.weight, weight.into_data()));
        tensors.push((stack.bias, bias.into_data()));
    }
    Some(tensors)
}

/// A prompt from such tensors, all of which must be there, of these shapes, and no others.
pub(super) fn restored(
    config: &PTuningConfig,
    d_model: usize,
    mut file: TensorsFile,
    device: &Device,
) -> Result<SoftPrompt, AdapterFileError> {
    let hidden = config.hidden.unwrap_or(d_model);
    let stacks = stacks(&config.encoder, d_model, hidden);
    let inputs = [config.n_virtual_tokens, d_model];
    let mut wanted = vec![(INPUTS.to_owned(), inputs.to_vec())];
    for stack in &stacks {
        let shape = stack.weight_shape();
        wanted.push((stack.weight.clone(), shape.to_vec()));
        wanted.push((stack.bias.clone(), shape[..1].to_vec()));
    }
    file.expect(&wanted)?;
    // The sizes are those of the file by now, so what is made is not larger than it.
    let mut encoder = config.encoder.init(d_model, hidden, device);
    let to = (device, DType::F32);
    for (stack, linears) in stacks.iter().zip(linears(&mut encoder)) {
        let shape = stack.weight_shape();
        let weight = file.take(&stack.weight, &shape)?;
        let bias = file.take(&stack.bias, &shape[..1])?;
        if let (Some(weight), Some(bias)) = (weight, bias) {
            let weights = Tensor::<2>::from_data(weight, to).chunk(stack.n, 0);
            let biases = Tensor::<1>::from_data(bias, to).chunk(stack.n, 0);
            for ((linear, weight), bias) in linears.into_iter().zip(weights).zip(biases) {
                // Laid out as a fresh layer is, as `in_out` does it of a whole matrix.
                let weight = Tensor::<2>::from_data(weight.transpose().into_data(), to);
                linear.weight = Param::from_tensor(weight);
                linear.bias = Some(Param::from_tensor(bias));
            }
        }
    }
    let inputs = file.take(INPUTS, &inputs)?;
    let inputs = file.last(inputs)?;
    Ok(SoftPrompt::encoded(Tensor::from_data(inputs, to), encoder))
}
