//! The head that PEFT trains whole with an adapter of a classifier, whatever `modules_to_save`
//! lists.

use super::{AdapterDir, AdapterFileError};

/// The tasks whose head trains whole.
const TASKS: [&str; 2] = ["SEQ_CLS", "TOKEN_CLS"];
/// What PEFT adds to `modules_to_save` when such an adapter is loaded; old releases did not write
/// it.
const HEADS: [&str; 2] = ["classifier", "score"];

impl AdapterDir {
    /// The modules, by suffix, that train whole: those of the config, and a classifier's head that
    /// is in the file.
    ///
    /// # Errors
    ///
    /// Where the file of tensors cannot be read.
    pub(super) fn modules_to_save(&self) -> Result<Vec<String>, AdapterFileError> {
        let mut modules = self.config.modules_to_save().to_vec();
        let task = self
            .fields()
            .get("task_type")
            .and_then(|task| task.as_str());
        if !task.is_some_and(|task| TASKS.contains(&task)) {
            return Ok(modules);
        }
        let tensors = self.tensors()?;
        let places = tensors.places();
        for head in HEADS {
            let whole = |key: &String| {
                let mut segments = key.split('.');
                segments.any(|name| name == head) && !segments.any(|name| name.starts_with("lora_"))
            };
            if !modules.iter().any(|module| module == head) && places.keys().any(whole) {
                modules.push(head.into());
            }
        }
        Ok(modules)
    }
}
