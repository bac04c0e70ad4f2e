//! [`AttachReport`]: what attaching an adapter did.

use std::fmt;

use serde::Serialize;

use crate::{Layer, LayerKind, Summary};

/// A layer that got an adapter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdaptedLayer {
    /// The layer's path.
    pub path: String,
    /// What it is: `Linear` or `Embedding`.
    pub kind: String,
    /// The shape of its weight, as [`Layer::shape`].
    pub shape: [usize; 2],
}

impl AdaptedLayer {
    pub(crate) fn new(layer: &Layer) -> Self {
        let kind: LayerKind = layer.kind;
        Self {
            path: layer.path.clone(),
            kind: kind.to_string(),
            shape: layer.shape,
        }
    }
}

/// What attaching an adapter did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttachReport {
    /// The adapter's name.
    pub adapter: String,
    /// The method's name.
    pub method: &'static str,
    /// The adapted layers, in the model's order; none where the method adapts what the model reads.
    pub layers: Vec<AdaptedLayer>,
    /// The parameters that train as a whole beside the adapter.
    pub trained_whole: Vec<String>,
    /// The base's parameters that have other values now, which the adapter's file held.
    pub replaced: Vec<String>,
    /// Whether the adapter acts at once: the first one of a model does.
    pub active: bool,
    /// What trains now.
    pub summary: Summary,
    /// What may be amiss though the adapter is attached, a sentence each.
    pub warnings: Vec<String>,
}

impl fmt::Display for AttachReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} `{}`{}{}{}",
            self.method,
            self.adapter,
            match self.layers.len() {
                0 => String::new(),
                n => format!(" on {n} layers"),
            },
            match self.trained_whole.len() {
                0 => String::new(),
                n => format!(", {n} parameters trained whole"),
            },
            if self.active { "" } else { ", not active yet" },
        )?;
        self.summary.fmt(f)?;
        let mut warnings = self.warnings.iter();
        warnings.try_for_each(|text| write!(f, "\nwarning: {text}"))
    }
}
