//! [`fit_placement`]: a file's placement, as it applies to one model.

use std::collections::HashSet;

use peft_core::{Choice, LayerRange, Names, Placement, Targets, has_suffix};

/// The output layer, which PEFT's `all-linear` leaves out.
pub(super) const OUTPUT_LAYER: &str = "lm_head";

/// Leave out what this model does not have.
///
/// PEFT takes lists written for several architectures: an entry that matches nothing is passed
/// over; and a layer inside a module to save is no target, whatever its name. What counts is that
/// the file's tensors fit, which is checked afterwards, tensor by tensor.
pub(super) fn fit_placement(placement: &mut Placement, layers: &[String], modules: &[String]) {
    placement.whole_modules = fitted_modules(&placement.whole_modules, modules);
    let saved = saved_layers(&placement.whole_modules, layers);

    let old = placement.targets.clone();
    let mut targets = match old.choice() {
        Choice::AllLinear => Targets::all_linear(),
        Choice::Names(names) => match fit(names, modules) {
            // Nothing fits: keep the list, so that attaching reports it.
            Names::Suffixes(entries) if entries.is_empty() => {
                Targets::new(Choice::Names(names.clone()))
            }
            fitted => Targets::new(Choice::Names(fitted)),
        },
    };
    let exclude = match (old.exclude(), old.choice()) {
        (Some(names), _) => Some(fit(names, modules)),
        (None, Choice::AllLinear) => Some(fit(&Names::suffixes([OUTPUT_LAYER]), modules)),
        (None, Choice::Names(_)) => None,
    };
    if let Some(names) = joined(exclude, saved) {
        targets = targets.excluding_names(names);
    }
    placement.targets = targets
        .within(fitted_range(&old, layers))
        .indexed_after(old.index_after().to_vec());
}

/// The range without the indices that no layer has, unless none has any.
fn fitted_range(targets: &Targets, layers: &[String]) -> LayerRange {
    let LayerRange::Indices(indices) = targets.range() else {
        return targets.range().clone();
    };
    let found: HashSet<usize> = layers
        .iter()
        .filter_map(|path| targets.layer_index(path))
        .collect();
    let kept: Vec<usize> = indices
        .iter()
        .copied()
        .filter(|index| found.contains(index))
        .collect();
    LayerRange::Indices(if kept.is_empty() {
        indices.clone()
    } else {
        kept
    })
}

/// The modules that these entries name: PEFT asks only how a module's path ends, so `classifier`
/// names DistilBERT's `pre_classifier` too.
pub(super) fn fitted_modules(entries: &[String], modules: &[String]) -> Vec<String> {
    let named = |module: &&String| entries.iter().any(|entry| module.ends_with(entry.as_str()));
    modules.iter().filter(named).cloned().collect()
}

/// Names of modules to save by which PEFT finds these modules and no others.
///
/// It asks only how a path ends: `norm` would be every `input_layernorm` too, so that a file of
/// `norm` alone could not be read. The paths of the modules stand in place of such a name.
pub(super) fn told_apart(entries: &[String], modules: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for entry in entries {
        let meant = modules.iter().filter(|module| has_suffix(module, entry));
        let found = modules
            .iter()
            .filter(|module| module.ends_with(entry.as_str()));
        match meant.clone().count() == found.count() {
            true => names.push(entry.clone()),
            false => names.extend(meant.cloned()),
        }
    }
    names
}

/// The entries that match one of `paths`. A regular expression stays as it is.
pub(super) fn fit(names: &Names, paths: &[String]) -> Names {
    match names {
        Names::Regex(_) => names.clone(),
        Names::Suffixes(entries) => Names::Suffixes(
            entries
                .iter()
                .filter(|entry| paths.iter().any(|path| has_suffix(path, entry)))
                .cloned()
                .collect(),
        ),
    }
}

/// The layers that are, or lie in, one of these modules.
fn saved_layers(modules_to_save: &[String], layers: &[String]) -> Vec<String> {
    let inside = |layer: &str| {
        let around = layer.match_indices('.').map(|(at, _)| &layer[..at]);
        around.chain([layer]).any(|module| {
            modules_to_save
                .iter()
                .any(|entry| has_suffix(module, entry))
        })
    };
    let layers = layers.iter().filter(|layer| inside(layer));
    layers.cloned().collect()
}

/// What is excluded, and these paths.
fn joined(exclude: Option<Names>, paths: Vec<String>) -> Option<Names> {
    match exclude {
        exclude if paths.is_empty() => exclude,
        None => Some(Names::Suffixes(paths)),
        Some(Names::Suffixes(mut entries)) => {
            entries.extend(paths);
            Some(Names::Suffixes(entries))
        }
        Some(Names::Regex(pattern)) => {
            let paths: Vec<String> = paths.iter().map(|path| path.replace('.', r"\.")).collect();
            Some(Names::Regex(format!("{pattern}|{}", paths.join("|"))))
        }
    }
}

/// The layers that these targets name and do not exclude.
pub(super) fn chosen(targets: &Targets, layers: &[String]) -> Vec<String> {
    let named = |path: &&String| match targets.choice() {
        Choice::AllLinear => true,
        Choice::Names(names) => names.has(path),
    };
    let excluded = |path: &String| targets.exclude().is_some_and(|names| names.has(path));
    let layers = layers.iter().filter(named).filter(|path| !excluded(path));
    layers.cloned().collect()
}
