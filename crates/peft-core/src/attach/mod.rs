//! [`attach`]: the one way in which adapters get onto a model.

mod cost;
mod each;
mod freeze_all_but;
mod merge;
mod placement;
mod report;
mod summary;
mod token_rows;
mod token_rows_config;
mod train_whole;
mod whole;

pub use cost::AdapterCost;
pub use each::attach_each;
pub use freeze_all_but::{ParamSet, freeze_all_but};
pub use merge::{Unmerged, into_merged, merge};
pub use placement::{ForwardPath, Placed, Placement, TrainBias};
pub use report::{AdaptedLayer, AttachReport};
pub use summary::{Summary, SummaryRow};
pub use token_rows::{TokenChoice, TokenRows};
pub use token_rows_config::TokenRowsConfig;
pub use train_whole::train_whole;
pub use whole::Whole;

use std::collections::{HashMap, HashSet};

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::select::{
    Choice, INPUT_ADAPTER, Matcher, Names, ParamInfo, layers_of, module_paths_of, params,
};
use crate::slot::{REPARAMETERIZATION, install};
use crate::slot::{not_routed, valid_name};
use crate::statistics::{Holders, Statistics, exchange, freeze_statistics, read};
use crate::{
    Adapter, AdapterSlot, FrozenWeight, Layer, LayerKind, MapParams, ParamPlace, PeftError,
    VisitParams, map_params, slots, visit_params,
};

/// Attach one adapter, that is one module on each chosen layer, under one name.
///
/// `build` makes the adapters of the layers it is given, in their order. All base parameters are
/// frozen; what a model reads beside its text, such as a prefix, is neither adapted nor frozen. The
/// first adapter of a model is active at once; later ones wait for
/// [`set_active`](crate::set_active).
///
/// # Errors
///
/// Any [`PeftError`] that a check finds. Everything is checked before the model is touched.
pub fn attach<M: Module, A: Adapter>(
    model: &mut M,
    name: &str,
    placement: &Placement,
    supported: &[LayerKind],
    build: impl FnOnce(&[Layer]) -> Result<Vec<A>, PeftError>,
) -> Result<AttachReport, PeftError> {
    valid_name(name)?;
    not_routed(model)?;
    let existing = slots(model);
    if existing.iter().any(|(_, slot)| slot.contains(name)) {
        return Err(PeftError::DuplicateAdapter { name: name.into() });
    }
    let first = existing.is_empty();
    let disabled = existing.iter().any(|(_, slot)| slot.is_disabled());
    let params = params(model);
    let all_layers = layers_of(&params);
    let holders = Holders::of(model);
    let whole_modules = WholeModules::new(&placement.whole_modules, &params)?;
    holders.check(|module| !whole_modules.holds_module(module))?;
    let chosen = choose(
        placement,
        &params,
        &all_layers,
        &whole_modules,
        A::NAME,
        supported,
    )?;
    let layers: Vec<Layer> = chosen.into_iter().map(Layer::settled).collect();
    let mut whole = whole_paths(placement, &params, &layers, &whole_modules);
    whole.retain(|path| !holders.has_state(path));
    if let Some(layer) = layers
        .iter()
        .find(|layer| whole.contains(&layer.weight_path()))
    {
        return Err(PeftError::TargetedTwice {
            path: layer.path.clone(),
            name: name.into(),
        });
    }
    let adapters = build(&layers)?;
    if adapters.len() != layers.len() {
        return Err(PeftError::InvalidSetting {
            field: format!(
                "the number of {} adapters for {} layers",
                A::NAME,
                layers.len()
            ),
            value: adapters.len().to_string(),
            expected: "one for each layer",
        });
    }
    for (layer, adapter) in layers.iter().zip(&adapters) {
        // A convolution reads its weight's value, however the others are read.
        let by_weight = placement.path == ForwardPath::Weight || layer.kind == LayerKind::Conv;
        let reason = adapter.needs_factored_path(true);
        if let Some(reason) = reason.filter(|_| by_weight) {
            return Err(PeftError::NeedsFactoredPath {
                method: A::NAME,
                path: layer.path.clone(),
                reason,
            });
        }
    }

    let token_rows = match &placement.token_rows {
        None => None,
        Some(choice) => {
            let layer = choice.layer(&all_layers)?;
            let path = layer.weight_path();
            if layers.iter().any(|of| of.path == layer.path) || whole.contains(&path) {
                return Err(PeftError::TargetedTwice {
                    path: layer.path.clone(),
                    name: name.into(),
                });
            }
            Some((path, TokenRows::of(layer, choice)?))
        }
    };

    let mut slots: HashMap<String, AdapterSlot> = existing.into_iter().collect();
    if let Some((path, rows)) = token_rows {
        slots.entry(path).or_default().insert(name, rows);
    }
    // Of layers on several devices, what their adapters share goes along.
    let apart = layers.iter().any(|of| of.device != layers[0].device);
    for (layer, adapter) in layers.iter().zip(adapters) {
        let adapter = match apart {
            true => adapter.fork(&layer.device),
            false => adapter,
        };
        slots
            .entry(layer.weight_path())
            .or_default()
            .insert(name, adapter);
    }
    let statistics = carriers(&holders, &whole_modules, &params)?;
    place(model, name, slots, &whole, &statistics, |slot| {
        if first {
            slot.set_active([(name, 1.0)]);
        }
        // A new slot of a model that is switched off is off too.
        if disabled {
            slot.set_disabled(true);
        }
    })?;

    Ok(AttachReport {
        adapter: name.into(),
        method: A::NAME,
        layers: layers.iter().map(AdaptedLayer::new).collect(),
        trained_whole: whole,
        replaced: Vec::new(),
        active: first,
        summary: Summary::of(model),
        warnings: Vec::new(),
    })
}

/// The layers that [`attach`] would put a method's adapters on. A lazy model stays so: the shape of
/// a layer in column layout is then the stored one.
///
/// # Errors
///
/// Those of the placement's targets and modules that train whole.
pub fn chosen_layers<M: Module>(
    model: &M,
    placement: &Placement,
    method: &'static str,
    supported: &[LayerKind],
) -> Result<Vec<Layer>, PeftError> {
    let params = params(model);
    let whole_modules = WholeModules::new(&placement.whole_modules, &params)?;
    let layers = layers_of(&params);
    choose(
        placement,
        &params,
        &layers,
        &whole_modules,
        method,
        supported,
    )
}

fn choose(
    placement: &Placement,
    params: &[ParamInfo],
    layers: &[Layer],
    whole_modules: &WholeModules,
    method: &'static str,
    supported: &[LayerKind],
) -> Result<Vec<Layer>, PeftError> {
    let mut chosen = placement
        .targets
        .select(params, layers, method, supported)?;
    if *placement.targets.choice() == Choice::AllLinear {
        let matched = chosen.len();
        chosen.retain(|layer| !whole_modules.holds(&layer.weight_path()));
        if chosen.is_empty() {
            return Err(PeftError::AllExcluded { matched });
        }
    }
    Ok(chosen)
}

/// Put slots on a model, with copies of the parameters that train whole, each slot as `settle`
/// leaves it, and freeze the base.
pub(crate) fn place<M: Module>(
    model: &mut M,
    name: &str,
    mut slots: HashMap<String, AdapterSlot>,
    whole: &[String],
    statistics: &[Carrier],
    settle: impl Fn(&mut AdapterSlot),
) -> Result<(), PeftError> {
    let mut copies = Copies {
        name,
        wanted: whole,
        slots: &mut slots,
    };
    visit_params(model, &mut copies);
    for carrier in statistics {
        carrier.give(model, name, &mut slots);
    }
    slots.values_mut().for_each(settle);
    let mut slots: Vec<_> = slots.into_iter().collect();
    let mut adapted = model.clone();
    exchange(&mut adapted, &mut slots);
    let moving: Vec<String> = slots
        .iter()
        .filter_map(|(_, slot)| slot.statistics())
        .filter(|kept| kept.moves())
        .map(|kept| kept.module().to_owned())
        .collect();
    install(&mut adapted, slots.into_iter().collect())?;
    let mut adapted = map_params(adapted, &mut FreezeBase);
    freeze_statistics(&mut adapted, |module| {
        moving.iter().any(|moves| moves == module)
    })?;
    *model = adapted;
    Ok(())
}

/// A module that trains whole and keeps running statistics, and the parameter in whose slot those
/// lie that are not in the model.
pub(crate) struct Carrier {
    module: String,
    /// The paths of its statistics.
    states: Vec<String>,
    parameter: String,
}

impl Carrier {
    /// An adapter's statistics begin as the base's.
    fn give<M: Module>(&self, model: &M, name: &str, slots: &mut HashMap<String, AdapterSlot>) {
        let slot = slots.entry(self.parameter.clone()).or_default();
        let kept = slot.statistics_or(|| Statistics::new(&self.module));
        let of_base = kept.of_base().cloned();
        let of_base = of_base
            .unwrap_or_else(|| read(model, |path| self.states.iter().any(|state| state == path)));
        kept.set_apart(name, of_base);
    }
}

/// Of the modules that train whole, those with running statistics.
pub(crate) fn carriers(
    holders: &Holders,
    whole: &WholeModules,
    params: &[ParamInfo],
) -> Result<Vec<Carrier>, PeftError> {
    let whole = holders
        .modules()
        .filter(|(module, _)| whole.holds_module(module));
    whole
        .map(|(module, states)| {
            let mut own = params.iter().filter(|param| {
                param.adapter.is_none()
                    && param.module_path() == module
                    && !holders.has_state(&param.path)
            });
            match own.next() {
                Some(param) => Ok(Carrier {
                    module: module.into(),
                    states: states.to_vec(),
                    parameter: param.path.clone(),
                }),
                None => Err(PeftError::Statistics {
                    path: module.into(),
                    problem: "cannot train whole: the module has no parameter of its own to train",
                }),
            }
        })
        .collect()
}

/// The parameters to train whole, in the model's order.
fn whole_paths(
    placement: &Placement,
    params: &[ParamInfo],
    layers: &[Layer],
    modules: &WholeModules,
) -> Vec<String> {
    let adapted: HashSet<String> = layers.iter().map(Layer::bias_path).collect();
    params
        .iter()
        .filter(|param| param.adapter.is_none())
        .filter(|param| {
            let bias = param.name() == "bias"
                && match placement.train_bias {
                    TrainBias::None => false,
                    TrainBias::All => true,
                    TrainBias::Adapted => adapted.contains(&param.path),
                };
            bias || modules.holds(&param.path)
        })
        .map(|param| param.path.clone())
        .collect()
}

/// The modules named in `whole_modules`, as path prefixes.
pub(crate) struct WholeModules(Vec<String>);

impl WholeModules {
    pub(crate) fn new(names: &[String], params: &[ParamInfo]) -> Result<Self, PeftError> {
        let modules = module_paths_of(params);
        let mut found = Vec::new();
        for name in names {
            let matcher = Matcher::new("module to save", &Names::suffixes([name]))?;
            let matches: Vec<_> = modules
                .iter()
                .filter(|module| matcher.matches(module))
                .map(|module| format!("{module}."))
                .collect();
            if matches.is_empty() {
                return Err(PeftError::unmatched("module to save", name, modules));
            }
            found.extend(matches);
        }
        Ok(Self(found))
    }

    pub(crate) fn holds_module(&self, module: &str) -> bool {
        self.holds(&format!("{module}."))
    }

    pub(crate) fn holds(&self, param: &str) -> bool {
        self.0.iter().any(|module| param.starts_with(module))
    }
}

/// Adds a [`Whole`] to the slots of the wanted parameters.
struct Copies<'a> {
    name: &'a str,
    wanted: &'a [String],
    slots: &'a mut HashMap<String, AdapterSlot>,
}

impl VisitParams for Copies<'_> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        if self.wanted.contains(&path) {
            // The copy starts at the dense weight.
            let copy = Whole::<D>::new(FrozenWeight::of(param).dense_in(DType::F32));
            self.slots.entry(path).or_default().insert(self.name, copy);
        }
    }
}

/// Freezes what is not inside a reparameterization nor what a model reads beside its text.
struct FreezeBase;

impl MapParams for FreezeBase {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let is_apart = |kind: &String| [REPARAMETERIZATION, INPUT_ADAPTER].contains(&kind.as_str());
        if at.containers().iter().any(is_apart) {
            return param;
        }
        param.set_require_grad(false)
    }
}
