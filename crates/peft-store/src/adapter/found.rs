//! [`found`]: what lies in a directory that holds no adapter of PEFT's, and what to do with it.

use std::fs;
use std::path::Path;

/// The files of an adapter directory.
pub(crate) const CONFIG: &str = "adapter_config.json";
pub(crate) const TENSORS: &str = "adapter_model.safetensors";

/// Entries of a directory that are looked at.
const LOOKED_AT: usize = 1000;

/// What lies there, as the end of a message; nothing where nothing is known.
pub(super) fn found(dir: &Path) -> String {
    if dir.is_file() {
        let gguf = dir
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
        let file = dir
            .file_name()
            .is_some_and(|name| name == TENSORS || name == CONFIG);
        return match (file, gguf, dir.parent()) {
            (true, _, Some(parent)) => {
                format!("; give its directory, {}", parent.display())
            }
            (_, true, _) => "; it is a GGUF file, and adapters are read as PEFT writes them".into(),
            _ => "; it is a file".into(),
        };
    }
    let has = |file: &str| dir.join(file).is_file();
    if has("adapters.safetensors") {
        return "; it holds an adapter of mlx-lm (adapters.safetensors), which is not read: its tensors lie the other way round under other names, so convert it to PEFT's format first".into();
    }
    if let Some(inner) = inside(dir) {
        return format!("; there is one in {}, to be given instead", inner);
    }
    if has("config.json") {
        return "; it is a model checkpoint (config.json), to be given as the model".into();
    }
    if has(TENSORS) || has("adapter_model.bin") {
        return format!("; it holds tensors without their {CONFIG}, which says how they are read");
    }
    String::new()
}

/// What to do where the config is there and the tensors are not.
pub(super) fn instead_of_tensors(dir: &Path) -> Option<&'static str> {
    if dir.join("adapter_model.bin").is_file() {
        return Some(
            "there is an adapter_model.bin, which is not read since a pickle may run any code; load it in Python's peft and save it again with save_pretrained, which writes adapter_model.safetensors",
        );
    }
    let sharded = dir.join("adapter_model.safetensors.index.json").is_file();
    sharded
        .then_some("the tensors are in several files; save them as one adapter_model.safetensors")
}

/// The directories right inside that hold an adapter: those that PEFT makes of names, a run's
/// `best`.
fn inside(dir: &Path) -> Option<String> {
    let entries = fs::read_dir(dir).ok()?.take(LOOKED_AT).flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join(CONFIG).is_file())
        .collect();
    found.sort();
    let shown = found.iter().take(3).map(|path| path.display().to_string());
    let shown = shown.collect::<Vec<_>>().join(" or ");
    (!found.is_empty()).then_some(shown)
}
