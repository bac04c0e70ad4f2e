//! What trains whole with an adapter is compared with the file before it is copied.

use std::collections::HashSet;

use burn::module::Module;

use super::key_forms::own_key;
use super::{AdapterDir, AdapterFileError};
use crate::params::stored_params;

impl AdapterDir {
    /// The parameters of these modules are in the file, in their shapes: a config may name the
    /// whole model.
    pub(super) fn check_whole<M: Module>(
        &self,
        model: &M,
        modules: &[String],
    ) -> Result<(), AdapterFileError> {
        if modules.is_empty() {
            return Ok(());
        }
        let prefix = self.config.prefix();
        let wanted = stored_params(model).into_iter().filter_map(|param| {
            let (module, _) = param.path.rsplit_once('.')?;
            let within = |whole: &String| {
                let rest = module.strip_prefix(whole.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let key = format!("{prefix}{module}.{}", param.name());
            modules.iter().any(within).then_some((key, param.shape))
        });
        let wanted: Vec<(String, Vec<usize>)> = wanted.collect();
        let keys: HashSet<&str> = wanted.iter().map(|(key, _)| key.as_str()).collect();
        let mut file = self.tensors()?;
        file.rename(|key| own_key(key, prefix, &keys));
        for (key, shape) in &wanted {
            file.has(key, shape);
        }
        file.sound()
    }
}
