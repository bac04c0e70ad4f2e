//! `peft combine`: several adapters as one.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use clap::ValueEnum;
use peft_files::NewDir;
use peft_lora::{Combination, Lora, MajoritySign, Part, Rule};
use peft_store::{AdapterFileError, Companions, LoraLayer, LoraLayers, SavedAdapter};

use super::adapted::{open_alone, warn};
use super::train::end_without_traces;
use crate::args::{CombineArgs, HowArg, MajorityArg};
use crate::device::device;
use crate::error::CliError;
use crate::say::say;

/// What differs from the sum by more is told.
const TOLD: f64 = 0.01;

pub(crate) fn run(args: &CombineArgs) -> Result<(), CliError> {
    let n = args.adapter.len();
    if n != args.weights.len() || n < 2 {
        return Err(CliError::Usage(format!(
            "{n} adapters and {} weights: give two or more of --adapter DIR, and --weights with one for each, as --weights 0.5,0.5",
            args.weights.len()
        )));
    }
    let device = device(&args.device)?;
    end_without_traces()?;
    let place = NewDir::beside(&args.out)?;
    let adapters = adapters(args, &device)?;
    for other in &adapters[1..] {
        adapters[0]
            .other_base(other)
            .iter()
            .for_each(|why| warn(why));
    }
    let how = how(args, &adapters)?;
    let (layers, apart) = combined(&adapters, &args.weights, how)?;
    let ranks: BTreeSet<usize> = layers.values().map(|of| of.lora.rank()).collect();
    let count = layers.len();
    let others: Vec<&LoraLayers> = adapters[1..].iter().collect();
    let all = adapters[0].with_layers(layers, &others)?;
    all.save(place.path())?;
    let first = &args.adapter[0];
    if first.join("tokenizer.json").is_file() {
        Companions::of(first.as_path(), None).copy_tokenizer(place.path())?;
    }
    check_written(&all, &place, &device)?;
    let out = place.keep()?;
    let ranks: Vec<String> = ranks.iter().map(usize::to_string).collect();
    say!(
        "{count} layers of rank {}; what is added differs by {:.2} % from the weighted sum of what the adapters add",
        ranks.join(", "),
        100.0 * apart
    );
    if let Combination::Factors(_) = how
        && apart > TOLD
    {
        let name = args.how.to_possible_value();
        say!(
            "{} combines the factors of the adapters, as PEFT does, each A with every other's B; cat has the sum exactly, and svd the nearest of a rank",
            name.map_or(String::new(), |name| name.get_name().to_owned())
        );
    }
    say!("wrote {}", out.display());
    Ok(())
}

/// The adapters, each of plain LoRA.
fn adapters(args: &CombineArgs, device: &Device) -> Result<Vec<LoraLayers>, CliError> {
    let read = args.adapter.iter().map(|dir| {
        let saved = open_alone(dir)?;
        let SavedAdapter::Peft(of) = &saved else {
            return Err(CliError::Usage(format!(
                "{} has parameters of a model itself ({}), and adapters of LoRA are what is combined; `peft extract` makes one of a whole model",
                dir.display(),
                saved.method().as_str().unwrap_or("trained")
            )));
        };
        LoraLayers::read(of, device).map_err(|error| match error {
            error @ AdapterFileError::NotLora { .. } => CliError::Usage(format!(
                "{error}: `peft export --to-lora` makes plain LoRA of what merges"
            )),
            error => error.into(),
        })
    });
    read.collect()
}

/// How, by the flags; those that it does not take are refused.
fn how(args: &CombineArgs, adapters: &[LoraLayers]) -> Result<Combination, CliError> {
    let name = args.how.to_possible_value();
    let name = name.map_or(String::new(), |name| name.get_name().to_owned());
    let (over_deltas, what) = match args.how {
        HowArg::Cat => (false, HowArg::Cat),
        HowArg::Linear
        | HowArg::Ties
        | HowArg::DareLinear
        | HowArg::DareTies
        | HowArg::MagnitudePrune => (false, args.how),
        HowArg::Svd => (true, HowArg::Linear),
        HowArg::TiesSvd => (true, HowArg::Ties),
        HowArg::DareLinearSvd => (true, HowArg::DareLinear),
        HowArg::DareTiesSvd => (true, HowArg::DareTies),
        HowArg::MagnitudePruneSvd => (true, HowArg::MagnitudePrune),
    };
    let prunes = !matches!(what, HowArg::Cat | HowArg::Linear);
    let elects = matches!(what, HowArg::Ties | HowArg::DareTies);
    let refused = [
        (
            "rank",
            args.rank.is_some() && !over_deltas,
            "svd and what ends in _svd have",
        ),
        (
            "density",
            args.density.is_some() && !prunes,
            "ties, dare and magnitude_prune have",
        ),
        (
            "majority-sign",
            args.majority_sign.is_some() && !elects,
            "ties and dare_ties have",
        ),
    ];
    if let Some((flag, _, who)) = refused.iter().find(|(_, given, _)| *given) {
        let what = format!("--how {name} has no --{flag}, which {who}");
        return Err(CliError::Usage(what));
    }
    let density = match (args.density, prunes) {
        (Some(density), true) => density,
        (None, true) => {
            let what = format!(
                "--how {name} needs --density, the part of the values that is kept, such as 0.5"
            );
            return Err(CliError::Usage(what));
        }
        (_, false) => 1.0,
    };
    let seed = args.seed;
    let sign = match args.majority_sign {
        None | Some(MajorityArg::Total) => MajoritySign::Total,
        Some(MajorityArg::Frequency) => MajoritySign::Frequency,
    };
    let rule = match what {
        HowArg::Cat => return Ok(Combination::Cat),
        HowArg::Ties | HowArg::TiesSvd => Rule::Ties { density, sign },
        HowArg::DareLinear | HowArg::DareLinearSvd => Rule::DareLinear { density, seed },
        HowArg::DareTies | HowArg::DareTiesSvd => Rule::DareTies {
            density,
            seed,
            sign,
        },
        HowArg::MagnitudePrune | HowArg::MagnitudePruneSvd => Rule::MagnitudePrune { density },
        HowArg::Linear | HowArg::Svd => Rule::Sum,
    };
    if !over_deltas {
        return Ok(Combination::Factors(rule));
    }
    let ranks = adapters.iter().flat_map(|of| of.layers.values());
    let largest = ranks.map(|of| of.lora.rank()).max().unwrap_or(1);
    let rank = args.rank.map_or(largest, |rank| rank.get());
    Ok(Combination::Deltas { rule, rank })
}

/// All layers that one of them has, and how far they are from the sums, as a part of these.
fn combined(
    adapters: &[LoraLayers],
    weights: &[f64],
    how: Combination,
) -> Result<(BTreeMap<String, LoraLayer>, f64), CliError> {
    let paths: BTreeSet<&String> = adapters.iter().flat_map(|of| of.layers.keys()).collect();
    let (mut layers, mut apart, mut length) = (BTreeMap::new(), 0.0, 0.0);
    for path in paths {
        let on = adapters.iter().zip(weights);
        let on = on.filter_map(|(of, weight)| of.layers.get(path).zip(Some(*weight)));
        let mut kinds = on.clone().map(|(of, _)| of.kind);
        let Some(kind) = kinds.next() else { continue };
        if kinds.any(|other| other != kind) {
            return Err(CliError::Usage(format!(
                "`{path}` is an embedding in one adapter and a linear layer in another: they are of different bases"
            )));
        }
        let parts: Vec<Part> = on
            .map(|(of, weight)| {
                let [a, b] = of.lora.acting();
                let scale = of.lora.scale();
                Part {
                    a,
                    b,
                    scale,
                    weight,
                }
            })
            .collect();
        let found = how.of(path, &parts)?;
        apart += found.apart * found.apart;
        length += found.length * found.length;
        let lora = Lora::new(found.a, found.b, 1.0, 0.0);
        layers.insert(path.clone(), LoraLayer { kind, lora });
    }
    let part = match length > 0.0 {
        true => f64::sqrt(apart / length),
        false => 0.0,
    };
    Ok((layers, part))
}

/// What was written is read again, to the bit.
fn check_written(all: &LoraLayers, place: &NewDir, device: &Device) -> Result<(), CliError> {
    let SavedAdapter::Peft(of) = open_alone(place.path())? else {
        return Err(CliError::Usage(
            "the adapter that was written is none".into(),
        ));
    };
    let again = LoraLayers::read(&of, device)?;
    let same = all.layers.iter().all(|(path, of)| {
        let bits = |of: &LoraLayer| of.lora.acting().map(|factor| factor.into_data());
        again
            .layers
            .get(path)
            .is_some_and(|found| bits(found) == bits(of))
    });
    match same && again.layers.len() == all.layers.len() {
        true => Ok(()),
        false => Err(CliError::Usage(
            "the adapter that was written differs from the one in memory; nothing was kept".into(),
        )),
    }
}
