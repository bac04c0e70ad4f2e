//! From the flags to a strategy.

use burn::module::Module;
use peft_core::{
    Names, ParamSet, PeftError, Summary, freeze_all_but, layers as all_layers, parameters,
};
use peft_layerwise::{
    BAdam, BitFit, Discriminative, FreezeBottom, Full, Gradual, Head, Length, Lisa, Matching,
    Norms, Order, Side, Strategy, TopLayers, Union,
};

use crate::args::{FromArg, Method, TrainArgs};
use crate::commands::OUTPUT_LAYER;
use crate::error::CliError;

/// Blocks of a method that takes some, where the caller does not say.
const LAYERS: usize = 2;

/// The strategy that the flags ask for, with `heads` trained in every step; none for a method that
/// adapts.
pub(crate) fn strategy<M: Module>(
    args: &TrainArgs,
    heads: &[String],
    model: &M,
) -> Result<Option<Box<dyn Strategy>>, CliError> {
    let Some(inner) = inner(args, heads, model)? else {
        return Ok(None);
    };
    let has_them = heads.is_empty() || matches!(args.method(), Method::Full | Method::Head);
    let with_heads: Box<dyn Strategy> = match has_them {
        true => inner,
        false => Box::new(Union::new(inner, Head::new(model, heads.to_vec())?)),
    };
    Ok(Some(match args.of_method.layer_decay {
        None => with_heads,
        Some(decay) => Box::new(Discriminative::new(model, with_heads, decay)?),
    }))
}

fn inner<M: Module>(
    args: &TrainArgs,
    heads: &[String],
    model: &M,
) -> Result<Option<Box<dyn Strategy>>, CliError> {
    let of = &args.of_method;
    let layers = of.layers.unwrap_or(LAYERS);
    let every = || {
        of.every.map(|every| every.0).ok_or_else(|| {
            CliError::Usage(format!(
                "--method {} goes from stage to stage: say how long one is by --every, in steps or as `1epoch`",
                args.method()
            ))
        })
    };
    Ok(Some(match args.method() {
        Method::Head => {
            let own = [OUTPUT_LAYER.to_owned()];
            let modules = if heads.is_empty() { &own } else { heads };
            let there =
                |module: &String| all_layers(model).iter().any(|layer| layer.path == *module);
            if heads.is_empty() && !own.iter().all(there) {
                return Err(CliError::Usage(
                    "the model's output layer is tied to its embedding, so it has no head to train alone; --method top-layers --layers 1 trains what is nearest to it".into(),
                ));
            }
            Box::new(Head::new(model, modules.to_vec())?)
        }
        Method::TopLayers => Box::new(TopLayers::new(model, layers)?),
        Method::FreezeBottom => Box::new(FreezeBottom::new(model, layers)?),
        Method::Bitfit => Box::new(BitFit::new(model)?),
        Method::Norms => Box::new(Norms::new(model)?),
        Method::Matching => {
            let pattern = of.params.as_deref().ok_or_else(|| {
                CliError::Usage("--method matching trains what --params matches; give it".into())
            })?;
            Box::new(Matching::new(model, pattern)?)
        }
        Method::Gradual => {
            let side = match of.from {
                Some(FromArg::Bottom) => Side::Bottom,
                Some(FromArg::Top) | None => Side::Top,
            };
            Box::new(Gradual::new(model, side, every()?)?)
        }
        Method::Lisa => Box::new(Lisa::new(model, layers, every()?, args.seed)?),
        Method::Badam => Box::new(BAdam::new(model, every()?, Order::Descending)?),
        Method::Full => Box::new(Full),
        _ => return Ok(None),
    }))
}

/// What trains in the first step, as `model` says it once it is set so.
pub(super) fn at_first<M: Module>(
    strategy: &dyn Strategy,
    length: &Length,
    model: &M,
) -> Result<Summary, PeftError> {
    let stage = strategy.stage(0, length);
    let mut model = model.clone();
    let trains = parameters(&model)
        .into_iter()
        .filter(|param| strategy.rate(stage, &param.path, true).is_some());
    // Whole paths: one may be the end of another.
    let trains: Vec<String> = trains.map(|param| param.path.replace('.', r"\.")).collect();
    let set = ParamSet::Names(Names::Regex(trains.join("|")));
    freeze_all_but(&mut model, &set)?;
    Ok(Summary::of(&model))
}
