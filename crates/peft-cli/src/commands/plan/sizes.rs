//! [`sizes`]: what a model is made of, and what the flags would train of it.

use std::collections::BTreeMap;

use peft_core::{AdapterCost, Layer, LayerKind, Parameter, chosen_layers, parameters};
use peft_layerwise::Length;
use peft_model::Transformer;
use peft_plan::{Added, Beside, Block, Linear, LowRank, ModelSizes, Role, Run, Trains, plan};
use peft_prefix::PrefixShape;
use peft_store::{AdapterConfig, Checkpoint, CheckpointConfig};

use crate::args::{EncoderArg, HoldArg, Method, TrainArgs};
use crate::commands::train::{strategy, token_choice, weights};
use crate::error::CliError;

/// Bytes of a value in blocks: NF4 with a scale in f32 for 64, or in eight bits, and Q8_0.
const NF4: f64 = 4.5 / 8.0;
const NF4_DOUBLE: f64 = (4.125 + 32.0 / (64.0 * 256.0)) / 8.0;
const Q8: f64 = 8.5 / 8.0;
/// Steps among whose stages the largest is looked for.
const STEPS: usize = 512;

/// The sizes of a model, which may be lazy: no value of it is made.
pub(super) fn sizes<M: Transformer>(
    args: &TrainArgs,
    checkpoint: &Checkpoint,
    model: &M,
    bytes: f64,
    run: &Run,
) -> Result<ModelSizes, CliError> {
    let of_blocks = match args.model.quantise {
        Some(HoldArg::Nf4) => NF4,
        Some(HoldArg::Nf4Double) => NF4_DOUBLE,
        Some(HoldArg::Q8) => Q8,
        Some(HoldArg::None) | None => bytes,
    };
    let params = parameters(model);
    let none = BTreeMap::new();
    if let Some(strategy) = strategy(args, &[], model)? {
        let base = |trains: &BTreeMap<String, Trains>| {
            of(checkpoint, model, &params, [of_blocks, bytes], trains)
        };
        let length = Length {
            steps_per_epoch: STEPS / 4,
            total_steps: STEPS,
        };
        // The stage that takes most.
        let mut stages: Vec<usize> = (0..STEPS).map(|at| strategy.stage(at, &length)).collect();
        stages.dedup();
        let of_stage = |stage: usize| {
            let of = params
                .iter()
                .filter(|param| strategy.rate(stage, &param.path, true).is_some());
            base(
                &of.map(|param| (param.path.clone(), Trains::Whole))
                    .collect(),
            )
        };
        let total = |sizes: &ModelSizes| plan(sizes, run).memory.total();
        let most = stages
            .into_iter()
            .map(of_stage)
            .max_by(|a, b| total(a).total_cmp(&total(b)));
        return Ok(most.unwrap_or_else(|| base(&none)));
    }
    let n = args.of_method.n_virtual_tokens(args.method());
    let d_model = model.d_model() as f64;
    let beside = match args.method() {
        Method::PromptTuning => Beside::Prompt {
            tokens: n,
            parameters: n as f64 * d_model,
        },
        Method::PTuning => {
            let hidden = args.of_method.encoder_hidden.map_or(d_model, |h| h as f64);
            let inputs = n as f64 * d_model;
            let encoder = match args.of_method.encoder {
                // Two layers in both directions, of four gates each, and a network behind them.
                Some(EncoderArg::Lstm) => {
                    let gates = 8.0 * hidden * (d_model + hidden) + 24.0 * hidden * hidden;
                    let behind = 2.0 * hidden * (2.0 * hidden + d_model);
                    gates + 32.0 * hidden + behind + 2.0 * hidden + d_model
                }
                Some(EncoderArg::Mlp) | None => {
                    hidden * (2.0 * d_model + hidden) + 2.0 * hidden + d_model
                }
            };
            Beside::Prompt {
                tokens: n,
                parameters: inputs + encoder,
            }
        }
        Method::PrefixTuning => {
            let shape = PrefixShape::of(model);
            let (width, flat) = (shape.width() as f64, shape.flat_width() as f64);
            let parameters = match args.of_method.prefix_projection {
                false => n as f64 * flat,
                true => {
                    let hidden = args.of_method.encoder_hidden.map_or(width, |h| h as f64);
                    n as f64 * width + (width + 1.0) * hidden + (hidden + 1.0) * flat
                }
            };
            Beside::Prefix {
                tokens: n,
                parameters,
            }
        }
        _ => {
            let (trains, shared) = adapted(args, checkpoint, model)?;
            let mut sizes = of(checkpoint, model, &params, [of_blocks, bytes], &trains);
            let rows = token_choice(&args.of_method).map_or(0, |choice| choice.tokens.len());
            sizes.outside_trains += rows.saturating_mul(model.d_model()) + shared;
            // What the first block reads is made of them.
            sizes.reads_all |= rows > 0;
            return Ok(sizes);
        }
    };
    Ok(ModelSizes {
        beside: Some(beside),
        ..of(checkpoint, model, &params, [of_blocks, bytes], &none)
    })
}

/// What an adapter of weights trains beside each layer, and what whole, by the path of the weight;
/// and how many values all layers share that train.
fn adapted<M: Transformer>(
    args: &TrainArgs,
    checkpoint: &Checkpoint,
    model: &M,
) -> Result<(BTreeMap<String, Trains>, usize), CliError> {
    if args.method() == Method::TrainableTokens {
        return Ok((whole_modules(args, model, BTreeMap::new())?, 0));
    }
    let config = weights(
        args,
        args.of_method.modules_to_save.clone(),
        checkpoint,
        model,
    )?;
    let mut found = BTreeMap::new();
    let kinds: &[LayerKind] = match &config {
        AdapterConfig::Lora(_) => &[LayerKind::Linear, LayerKind::Embedding],
        _ => &[LayerKind::Linear],
    };
    if let Some(placement) = config.placement() {
        for layer in chosen_layers(model, placement, config.method(), kinds)? {
            let trains = trains(&config, &layer).ok_or_else(|| {
                CliError::Usage(format!("--method {} is not planned", args.method()))
            })?;
            found.insert(layer.weight_path(), trains);
        }
    }
    let shared = match &config {
        AdapterConfig::Vblora(vblora) => vblora.bank_parameters(),
        _ => 0,
    };
    Ok((whole_modules(args, model, found)?, shared))
}

/// With what trains whole.
fn whole_modules<M: Transformer>(
    args: &TrainArgs,
    model: &M,
    mut found: BTreeMap<String, Trains>,
) -> Result<BTreeMap<String, Trains>, CliError> {
    for name in &args.of_method.modules_to_save {
        for param in parameters(model) {
            let module = param.path.rsplit_once('.').map_or("", |(module, _)| module);
            if peft_core::has_suffix(module, name) {
                found.insert(param.path.clone(), Trains::Whole);
            }
        }
    }
    Ok(found)
}

/// What an adapter of weights trains on a layer; none of a method that adapts no weights.
fn trains(config: &AdapterConfig, layer: &Layer) -> Option<Trains> {
    let beside = |cost: AdapterCost| {
        Trains::Beside(Added {
            parameters: cost.parameters as f64,
            products: cost.products as f64,
            fixed: cost.fixed as f64,
            kept: cost.kept as f64,
            keeps_input: cost.keeps_input,
            formed: cost.formed as f64,
            forming: cost.forming as f64,
        })
    };
    Some(match config {
        AdapterConfig::Lora(lora) => Trains::LowRank(LowRank {
            rank: lora.rank,
            frozen_a: lora.freeze_a,
            scales_columns: lora.dora,
            bias: lora.lora_bias,
            diagonal: false,
            initial: lora.init.begins_elsewhere(),
        }),
        AdapterConfig::AdaLora(adalora) => Trains::LowRank(LowRank {
            diagonal: true,
            ..LowRank::new(adalora.init_rank)
        }),
        AdapterConfig::Ia3(ia3) => {
            let inputs = ia3.feedforward.as_ref();
            Trains::Scale {
                of_inputs: inputs.is_some_and(|of| of.has(&layer.path)),
            }
        }
        AdapterConfig::LoHa(loha) => beside(loha.cost(layer.shape)),
        AdapterConfig::LoKr(lokr) => beside(lokr.cost(layer.shape)),
        AdapterConfig::Vera(vera) => beside(vera.cost(layer.shape)),
        AdapterConfig::RandLora(randlora) => beside(randlora.cost(layer.shape)),
        AdapterConfig::Vblora(vblora) => beside(vblora.cost(layer.shape)),
        AdapterConfig::Oft(oft) => beside(oft.cost(layer.shape)),
        AdapterConfig::Boft(boft) => beside(boft.cost(layer.shape)),
        AdapterConfig::Hra(hra) => beside(hra.cost(layer.shape)),
        AdapterConfig::Road(road) => beside(road.cost(layer.shape)),
        AdapterConfig::Miss(miss) => beside(miss.cost(layer.shape)),
        AdapterConfig::Hira(hira) => beside(hira.cost(layer.shape)),
        AdapterConfig::Delora(delora) => beside(delora.cost(layer.shape)),
        AdapterConfig::Gralora(gralora) => beside(gralora.cost(layer.shape)),
        AdapterConfig::Shira(shira) => beside(shira.cost(layer.shape)),
        AdapterConfig::FourierFt(fourier) => beside(fourier.cost(layer.shape)),
        AdapterConfig::C3a(c3a) => beside(c3a.cost(layer.shape)),
        AdapterConfig::WaveFt(wave) => beside(wave.cost(layer.shape)),
        _ => return None,
    })
}

/// The sizes of a model of which these parameters train; `bytes` of a value in the linear layers of
/// blocks, and elsewhere.
fn of<M: Transformer>(
    checkpoint: &Checkpoint,
    model: &M,
    params: &[Parameter],
    bytes: [f64; 2],
    trains: &BTreeMap<String, Trains>,
) -> ModelSizes {
    let (kv_heads, head_dim) = model.kv_shape();
    let windows = checkpoint.config().windows();
    let n_blocks = model.n_blocks();
    let empty = Block {
        linears: Vec::new(),
        queries: 0,
        keys: kv_heads * head_dim,
        window: None,
        others: 0,
        others_train: 0,
    };
    let mut sizes = ModelSizes {
        d_model: model.d_model(),
        vocabulary: checkpoint.config().vocab_size(),
        blocks: vec![empty; n_blocks],
        outside: 0,
        outside_bytes: bytes[1],
        tokens: checkpoint.config().vocab_size(),
        outside_trains: 0,
        causal: matches!(checkpoint.config(), CheckpointConfig::LanguageModel(_)),
        reads_all: false,
        beside: None,
    };
    for (block, window) in sizes.blocks.iter_mut().zip(windows) {
        block.window = window;
    }
    for param in params.iter().filter(|param| param.adapter.is_none()) {
        let values: usize = param.shape.iter().product();
        let here = trains.get(&param.path).copied();
        let at = param
            .layer
            .as_ref()
            .map(|(_, at)| *at)
            .filter(|at| *at < n_blocks);
        let Some(block) = at.and_then(|at| sizes.blocks.get_mut(at)) else {
            sizes.outside += values;
            let [rows, columns] = [0, 1].map(|i| param.shape.get(i).copied().unwrap_or(0));
            match here {
                Some(Trains::LowRank(low)) => {
                    sizes.outside_trains += low.rank.saturating_mul(rows + columns)
                }
                Some(Trains::Beside(added)) => sizes.outside_trains += added.parameters as usize,
                Some(_) => sizes.outside_trains += values,
                None => continue,
            }
            // What the first block reads is made of it.
            sizes.reads_all |= param.container == "Embedding";
            continue;
        };
        let is_linear = param.container == "Linear" && param.rank == 2 && param.name == "weight";
        if !is_linear {
            block.others += values;
            if here.is_some() {
                block.others_train += values;
            }
            continue;
        }
        let (d_in, d_out) = (param.shape[0], param.shape[1]);
        let linear = Linear {
            trains: here.unwrap_or(Trains::Nothing),
            ..Linear::frozen(
                role(&param.path, d_in, d_out, model.d_model()),
                d_in,
                d_out,
                bytes[0],
            )
        };
        if linear.role == Role::AttentionOutput {
            block.queries = d_in;
        }
        block.linears.push(linear);
    }
    sizes
}

/// What a block's layer is for, by its module's name and its sides.
fn role(path: &str, d_in: usize, d_out: usize, d_model: usize) -> Role {
    let names: Vec<&str> = path.split('.').collect();
    let of_attention = names.iter().any(|name| name.to_lowercase().contains("att"));
    let name = names.iter().rev().nth(1).copied().unwrap_or_default();
    const OUTPUTS: [&str; 5] = ["o_proj", "c_proj", "out_lin", "Wo", "dense"];
    match (of_attention, OUTPUTS.contains(&name)) {
        (true, true) => Role::AttentionOutput,
        (true, false) => Role::AttentionInput,
        (false, _) if d_out == d_model && d_in != d_model => Role::FeedForwardOutput,
        (false, _) => Role::FeedForwardInput,
    }
}
