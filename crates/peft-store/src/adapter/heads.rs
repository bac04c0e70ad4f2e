//! The head that PEFT trains whole with an adapter of a classifier, whatever `modules_to_save`
//! lists.

use super::files::AdapterFiles;
use super::tensors::TensorsFile;

/// The tasks whose head trains whole.
const TASKS: [&str; 2] = ["SEQ_CLS", "TOKEN_CLS"];
/// What PEFT adds to `modules_to_save` when such an adapter is loaded; old releases did not write
/// it.
const HEADS: [&str; 2] = ["classifier", "score"];

/// Add to the modules, by suffix, that train whole a classifier's head that is in the file;
/// `tensors` are what the method's are called.
pub(super) fn with_heads(
    files: &AdapterFiles,
    file: &TensorsFile,
    tensors: &[&str],
    modules: &mut Vec<String>,
) {
    if !files
        .text("task_type")
        .is_some_and(|task| TASKS.contains(&task))
    {
        return;
    }
    for head in HEADS {
        let whole = |key: &String| {
            let mut segments = key.split('.');
            segments.any(|name| name == head) && !segments.any(|name| tensors.contains(&name))
        };
        if !modules.iter().any(|module| module == head) && file.places().keys().any(whole) {
            modules.push(head.into());
        }
    }
}
