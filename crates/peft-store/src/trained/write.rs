//! [`save_trained`]: trained parameters as a directory.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Module;
use peft_core::parameters;

use super::config::inside;
use super::{TrainedConfig, TrainedFormat};
use crate::adapter::{CONFIG, TENSORS, create, io, replace};
use crate::tensor_file::{stored_tensors, write_tensors};
use crate::{AdapterFileError, TensorProblem};

/// Write the parameters of `model` at `paths` to a directory, in the precision that they have.
///
/// As LN tuning, a normalisation layer of which a parameter is named is written whole, since PEFT
/// tunes it whole. Each file is written beside its place and renamed.
///
/// # Errors
///
/// An [`AdapterFileError`]: paths that are no parameters of the model's own, all of them named; or
/// files that cannot be written.
pub fn save_trained<M: Module>(
    model: &M,
    paths: &BTreeSet<String>,
    config: &TrainedConfig,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    let dir = dir.as_ref();
    let own: Vec<String> = parameters(model)
        .into_iter()
        .filter(|parameter| parameter.adapter.is_none())
        .map(|parameter| parameter.path)
        .collect();
    let unknown: Vec<TensorProblem> = paths
        .iter()
        .filter(|path| !own.contains(path))
        .map(|path| TensorProblem::Unexpected { key: path.clone() })
        .collect();
    if !unknown.is_empty() {
        return Err(AdapterFileError::Tensors {
            path: dir.join(TENSORS),
            problems: unknown,
        });
    }
    let (paths, modules) = match &config.format {
        TrainedFormat::Own { .. } => (paths.clone(), Vec::new()),
        TrainedFormat::LnTuning { modules_to_save } => {
            let modules = tuned(paths, modules_to_save);
            let all = modules.iter().chain(modules_to_save);
            let within = |path: &&String| all.clone().any(|module| inside(path, module));
            (own.iter().filter(within).cloned().collect(), modules)
        }
    };
    let tensors = stored_tensors(model, |path| paths.contains(path));
    let keys: Vec<String> = tensors.keys().map(|path| config.key(path)).collect();
    let fields = config.to_fields(&keys, &modules);

    let json = format!("{fields:#}\n");
    create(dir)?;
    let tensors = tensors.into_iter();
    let tensors = tensors.map(|(path, tensor)| (config.key(&path), tensor));
    let path = dir.join(TENSORS);
    write_tensors(&path, tensors, []).map_err(|source| io("write", &path, source))?;
    replace(&dir.join(CONFIG), json.as_bytes())
}

/// The modules that hold these parameters, but those that are saved whole anyway.
fn tuned(paths: &BTreeSet<String>, modules_to_save: &[String]) -> Vec<String> {
    let outside = |path: &&String| !modules_to_save.iter().any(|module| inside(path, module));
    let module = |path: &String| path.rsplit_once('.').map(|(module, _)| module.to_owned());
    let modules: BTreeSet<String> = paths.iter().filter(outside).filter_map(module).collect();
    modules.into_iter().collect()
}
