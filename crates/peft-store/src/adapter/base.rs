//! [`AdapterBase`]: the base model, as an adapter's directory speaks of it.

/// The base model of an adapter that is written.
///
/// It can be made of the model's name alone, `Some("name")` or `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdapterBase<'a> {
    /// What the config calls it.
    pub name: Option<&'a str>,
    /// The paths of weights that are written with the adapter and take the place of the base's where
    /// it is loaded: those that [`AttachReport::replaced`](peft_core::AttachReport::replaced) names.
    pub replaced: &'a [String],
}

impl<'a> From<Option<&'a str>> for AdapterBase<'a> {
    fn from(name: Option<&'a str>) -> Self {
        Self {
            name,
            replaced: &[],
        }
    }
}
