//! Adapters of weights in directories, whatever the method.

use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterSlot, AttachReport, ForwardPath, FrozenWeight, LayerKind, PeftError, Placement,
    Summary, attach, layers, module_paths, slots,
};

use super::beside::{common_fields, load_beside, tensors_beside, write_directory};
use super::files::AdapterFiles;
use super::fitted::{chosen, fit_placement};
use super::heads::with_heads;
use super::layer_form::LayerForm;
use super::methods::{LayerAdapter, WeightMethod};
use super::placement::write_placement;
use super::tensors::{LayerTensors, NamedTensors, WRAPPED, WRAPPED_MODEL};
use super::whole::check_whole;
use super::{AdapterFileError, AdapterInfo};
use crate::params::stored_params;

/// Attach the adapter of a directory to `model` under `name`.
pub(super) fn attach_weights<W: WeightMethod + Clone, M: Module>(
    files: &AdapterFiles,
    config: &W,
    model: &mut M,
    name: &str,
    path: ForwardPath,
) -> Result<AttachReport, AdapterFileError> {
    let mut file = files.tensors()?.with_forms(WRAPPED_MODEL, W::TENSORS);
    let layers = layers(model);
    let paths: Vec<String> = layers.iter().map(|layer| layer.path.clone()).collect();
    let mut config = config.clone();
    let placement = config.placement_mut();
    with_heads(files, &file, W::TENSORS, &mut placement.whole_modules);
    fit_placement(placement, &paths, &module_paths(model));
    placement.path = path;
    config.keep_what_matches(&paths);
    let placement = config.placement();
    let adapted = chosen(&placement.targets, &paths);
    if let Some(excessive) = config.excessive_rank(&adapted, &file) {
        return Err(AdapterFileError::Rank {
            path: files.config_path(),
            field: excessive.field,
            rank: excessive.rank,
            largest: excessive.largest,
        });
    }
    check_whole(&mut file, model, &placement.whole_modules, WRAPPED_MODEL)?;

    let mut changed = model.clone();
    let mut tensors = LayerTensors::new(&mut file, &layers);
    let attached = config.attach_from(&mut changed, name, &mut tensors);
    tensors.failed()?;
    let mut report = match attached {
        // With nothing in the adapters' places the rest of the file is looked at too.
        Err(_) if file.has_problems() => attach_nothing(&mut changed, name, placement)?,
        attached => attached?,
    };
    let at = (name, WRAPPED_MODEL);
    load_beside(files, file, &mut changed, at, &layers, &mut report)?;
    report.summary = Summary::of(&changed);
    *model = changed;
    Ok(report)
}

/// Stands where an adapter is to be that a file does not have.
#[derive(Module, Debug)]
struct MissingAdapter {}

impl Adapter for MissingAdapter {
    const NAME: &'static str = "nothing";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense()
    }
}

fn attach_nothing<M: Module>(
    model: &mut M,
    name: &str,
    placement: &Placement,
) -> Result<AttachReport, PeftError> {
    let all = [LayerKind::Linear, LayerKind::Embedding, LayerKind::Conv];
    attach(model, name, placement, &all, |layers| {
        Ok(layers.iter().map(|_| MissingAdapter {}).collect())
    })
}

/// Write adapter `name` of `model` as a directory.
pub(super) fn save_weights<W: WeightMethod, M: Module>(
    model: &M,
    name: &str,
    config: &W,
    about: &AdapterInfo,
    dir: &Path,
) -> Result<(), AdapterFileError> {
    let has_form = |slot: &AdapterSlot| slot.get::<W::Adapter>(name).is_some();
    let mut tensors = tensors_beside(model, (name, WRAPPED_MODEL), about, has_form)?;
    let slots = slots(model);
    let adapted: Vec<LayerAdapter<'_, W::Adapter>> = slots
        .iter()
        .filter_map(|(path, slot)| {
            let adapter = slot.get(name)?;
            let path = path.strip_suffix(".weight")?;
            Some(LayerAdapter { path, adapter })
        })
        .collect();
    let forms = layers(model).into_iter();
    let forms = forms.map(|layer| (layer.path.clone(), LayerForm::of(&layer)));
    let forms: HashMap<String, LayerForm> = forms.collect();
    tensors.extend(adapter_tensors::<W>(&adapted, &forms));

    let placement = config.placement();
    let mut fields = common_fields(W::PEFT_TYPE, &placement.whole_modules, model);
    let paths: Vec<&str> = adapted.iter().map(|on| on.path).collect();
    write_placement(&mut fields, placement, &paths, &W::LAYER_FIELDS);
    let stored = stored_params(model).into_iter();
    let stored: HashMap<String, bool> =
        stored.map(|param| (param.path, param.transposed)).collect();
    let straight = |on: &LayerAdapter<'_, W::Adapter>| {
        let weight = format!("{}.weight", on.path);
        let kind = forms.get(on.path).map(|form| form.kind);
        kind == Some(LayerKind::Linear) && stored.get(&weight) == Some(&false)
    };
    let straight = adapted.iter().any(straight);
    if W::LAYER_FIELDS.fan_in_fan_out {
        fields.insert("fan_in_fan_out".into(), straight.into());
    }
    config.write(&mut fields, &adapted);
    write_directory(dir, (model, name), tensors, fields, about)
}

/// The tensors of all adapters with their keys, and those that they share.
fn adapter_tensors<W: WeightMethod>(
    adapted: &[LayerAdapter<'_, W::Adapter>],
    forms: &HashMap<String, LayerForm>,
) -> NamedTensors {
    let shared = adapted.first().map(|on| W::shared_tensors(on.adapter));
    let shared = shared.into_iter().flatten();
    let shared = shared.map(|(name, data)| (format!("{WRAPPED}{name}"), data));
    let own = adapted.iter().flat_map(|on| {
        let form = forms.get(on.path).cloned();
        let form = form.unwrap_or_else(|| LayerKind::Linear.into());
        let own = W::tensors(on.adapter, &form).into_iter();
        own.map(|(name, data)| (format!("{WRAPPED_MODEL}{}.{name}", on.path), data))
    });
    let all = shared.chain(own);
    let stored = |data: TensorData| match data.dtype().is_int() || data.dtype().is_uint() {
        true => data,
        false => data.convert_dtype(DType::F32),
    };
    all.map(|(key, data)| (key, stored(data))).collect()
}
