//! [`Targets`]: which layers of a model a method attaches to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::layer_index::LayerIndex;
use super::layers::{ParamInfo, modules};
use crate::error::nearest_end;
use crate::select::Matcher;
use crate::{Layer, LayerKind, PeftError};

/// A choice of modules by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// The whole path must match this regular expression.
    Regex(String),
    /// The path is one of these or ends in `.` and one of these.
    Suffixes(Vec<String>),
}

impl Names {
    /// Names given as suffixes.
    pub fn suffixes<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Suffixes(names.into_iter().map(Into::into).collect())
    }

    /// Whether these names choose a path; a regular expression that is none chooses nothing.
    pub fn has(&self, path: &str) -> bool {
        Matcher::new("name", self).is_ok_and(|matcher| matcher.matches(path))
    }

    /// Which of `paths` these names choose.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidRegex`], or [`PeftError::Unmatched`] for an entry that chooses none of
    /// them; `what` says what an entry is.
    pub fn matching(&self, what: &'static str, paths: &[&str]) -> Result<Vec<bool>, PeftError> {
        for (entry, matcher) in Matcher::each(what, self)? {
            let found = paths.iter().any(|path| matcher.matches(path));
            matcher.check()?;
            if !found {
                let available = paths.iter().map(|path| (*path).to_owned()).collect();
                return Err(PeftError::unmatched(what, entry, available));
            }
        }
        let matcher = Matcher::new(what, self)?;
        let matches = paths.iter().map(|path| matcher.matches(path)).collect();
        matcher.check()?;
        Ok(matches)
    }
}

/// Which of the chosen layers, by their index in the model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerRange {
    /// Every layer.
    #[default]
    All,
    /// The layers of these indices.
    Indices(Vec<usize>),
    /// The first n layers.
    First(usize),
    /// The last n layers.
    Last(usize),
}

/// What is chosen before exclusions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Every linear layer. The output layer is one: exclude it by name where that is not wanted.
    AllLinear,
    /// Modules by name.
    Names(Names),
}

/// Which layers of a model a method attaches to: a choice, minus exclusions, within a range of
/// layer indices.
///
/// ```
/// use peft_core::Targets;
///
/// let attention = Targets::suffixes(["q_proj", "v_proj"]);
/// let top = Targets::all_linear().excluding(["lm_head"]).last(4);
/// let by_path = Targets::regex(r"model\.layers\.[02468]\.mlp\..*");
/// # let _ = (attention, top, by_path);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    choice: Choice,
    exclude: Option<Names>,
    range: LayerRange,
    /// What the lists of layers are called, as regular expressions: the index is the number after
    /// one of them.
    index_after: Vec<String>,
}

impl Targets {
    /// Every linear layer.
    pub fn all_linear() -> Self {
        Self::new(Choice::AllLinear)
    }

    /// The modules whose path is one of `names`, or ends in `.` and one of them.
    pub fn suffixes<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::new(Choice::Names(Names::suffixes(names)))
    }

    /// The modules whose whole path matches a regular expression.
    pub fn regex(pattern: impl Into<String>) -> Self {
        Self::new(Choice::Names(Names::Regex(pattern.into())))
    }

    /// The modules of a choice.
    pub fn new(choice: Choice) -> Self {
        Self {
            choice,
            exclude: None,
            range: LayerRange::All,
            index_after: Vec::new(),
        }
    }

    /// Leave out modules by suffix.
    pub fn excluding<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        self.excluding_names(Names::suffixes(names))
    }

    /// Leave out modules by name.
    pub fn excluding_names(mut self, names: Names) -> Self {
        self.exclude = Some(names);
        self
    }

    /// Only layers in a range of indices.
    pub fn within(mut self, range: LayerRange) -> Self {
        self.range = range;
        self
    }

    /// Only the last `n` layers.
    pub fn last(self, n: usize) -> Self {
        self.within(LayerRange::Last(n))
    }

    /// Only the first `n` layers.
    pub fn first(self, n: usize) -> Self {
        self.within(LayerRange::First(n))
    }

    /// The layer index is the number after what one of these regular expressions matches from a
    /// segment on, as a list's name does, and not the first number of the path.
    pub fn indexed_after<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.index_after = names.into_iter().map(Into::into).collect();
        self
    }

    /// What is chosen before exclusions.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// What is left out.
    pub fn exclude(&self) -> Option<&Names> {
        self.exclude.as_ref()
    }

    /// The range of layer indices.
    pub fn range(&self) -> &LayerRange {
        &self.range
    }

    /// The expressions after which the layer index stands; empty for the first number of a path.
    pub fn index_after(&self) -> &[String] {
        &self.index_after
    }

    /// The layers to adapt, in the model's order. `supported` are the kinds that `method` adapts.
    pub(crate) fn select(
        &self,
        params: &[ParamInfo],
        layers: &[Layer],
        method: &'static str,
        supported: &[LayerKind],
    ) -> Result<Vec<Layer>, PeftError> {
        if layers.is_empty() {
            return Err(PeftError::NoLayers);
        }
        let excluded = match &self.exclude {
            Some(names) => Matcher::new("exclusion", names)?,
            None => Matcher::Suffixes(Vec::new()),
        };
        let chosen: Vec<&Layer> = match &self.choice {
            Choice::AllLinear => layers
                .iter()
                .filter(|layer| layer.kind == LayerKind::Linear)
                .collect(),
            Choice::Names(names) => {
                let matcher = Matcher::new("target", names)?;
                self.refuse_unmatched("target", names, layers, |entry| {
                    let named = |path: &str| entry.matches(path) && !excluded.matches(path);
                    let Some(module) = modules(params).find(|module| named(module)) else {
                        let bare = bare(params, layers).find(|param| named(&param.path))?;
                        let holder = bare.container.trim_start_matches("Struct:");
                        let kind = format!("parameter of {holder} and no layer");
                        let path = &bare.path;
                        return Some(PeftError::unsupported(method, path, kind, supported));
                    };
                    let kind = params
                        .iter()
                        .find(|param| param.module_path() == module)
                        .map_or("container of modules", |param| {
                            param.container.trim_start_matches("Struct:")
                        });
                    Some(PeftError::unsupported(method, module, kind, supported))
                })?;
                let chosen = layers
                    .iter()
                    .filter(|layer| matcher.matches(&layer.path))
                    .collect();
                matcher.check()?;
                chosen
            }
        };
        if let Some(names) = &self.exclude {
            self.refuse_unmatched("exclusion", names, layers, |entry| {
                // A module that is no layer may be excluded; it only must exist.
                modules(params)
                    .any(|module| entry.matches(module))
                    .then_some(PeftError::NoLayers)
            })
            .or_else(|error| match error {
                PeftError::NoLayers => Ok(()),
                error => Err(error),
            })?;
        }
        let matched = chosen.len();
        let kept: Vec<&Layer> = chosen
            .into_iter()
            .filter(|layer| !excluded.matches(&layer.path))
            .collect();
        excluded.check()?;
        let kept = self.in_range(kept, layers)?;
        if kept.is_empty() {
            return Err(PeftError::AllExcluded { matched });
        }
        if let Some(layer) = kept.iter().find(|layer| !supported.contains(&layer.kind)) {
            return Err(PeftError::unsupported(
                method,
                &layer.path,
                layer.kind,
                supported,
            ));
        }
        Ok(kept.into_iter().cloned().collect())
    }

    /// Every entry of `names` must match a layer; `explain` may know why one does not.
    fn refuse_unmatched(
        &self,
        what: &'static str,
        names: &Names,
        layers: &[Layer],
        explain: impl Fn(&Matcher) -> Option<PeftError>,
    ) -> Result<(), PeftError> {
        for (entry, matcher) in Matcher::each(what, names)? {
            let found = layers.iter().any(|layer| matcher.matches(&layer.path));
            matcher.check()?;
            if found {
                continue;
            }
            return Err(explain(&matcher).unwrap_or_else(|| {
                let paths: Vec<String> = layers.iter().map(|layer| layer.path.clone()).collect();
                PeftError::Unmatched {
                    what,
                    entry: entry.into(),
                    nearest: nearest_end(entry, &paths),
                    available: suffixes_of(layers),
                }
            }));
        }
        Ok(())
    }

    fn in_range<'a>(
        &self,
        chosen: Vec<&'a Layer>,
        layers: &[Layer],
    ) -> Result<Vec<&'a Layer>, PeftError> {
        if self.range == LayerRange::All {
            return Ok(chosen);
        }
        let of = LayerIndex::new(&self.index_after)?;
        let indices = layers.iter().filter_map(|layer| of.of(&layer.path));
        let count = indices.max().map_or(0, |last| last + 1);
        of.check()?;
        if let Some(path) = chosen.first().map(|layer| layer.path.clone())
            && !chosen.iter().any(|layer| of.of(&layer.path).is_some())
        {
            return Err(PeftError::NoLayerIndex { path });
        }
        let wanted: BTreeSet<usize> = match &self.range {
            LayerRange::All => (0..count).collect(),
            LayerRange::Indices(indices) => indices.iter().copied().collect(),
            LayerRange::First(n) | LayerRange::Last(n) if *n == 0 || *n > count => {
                return Err(PeftError::LayerCount { asked: *n, count });
            }
            LayerRange::First(n) => (0..*n).collect(),
            LayerRange::Last(n) => (count - n..count).collect(),
        };
        if let Some(index) = wanted.iter().copied().find(|index| *index >= count) {
            return Err(PeftError::NoSuchLayerIndex { index, count });
        }
        Ok(chosen
            .into_iter()
            .filter(|layer| {
                of.of(&layer.path)
                    .is_some_and(|index| wanted.contains(&index))
            })
            .collect())
    }

    /// The index of the block that a path lies in, if it is in one.
    ///
    /// As in PEFT: the first number with two segments before it and one after it, or the number
    /// behind the first of the given expressions that matches. A path without such a number takes
    /// the first that it has, so that a list of layers may be a model's own field. An expression
    /// that is none finds nothing.
    pub fn layer_index(&self, path: &str) -> Option<usize> {
        LayerIndex::new(&self.index_after).ok()?.of(path)
    }
}

/// The model's parameters that are of no layer.
fn bare<'a>(params: &'a [ParamInfo], layers: &'a [Layer]) -> impl Iterator<Item = &'a ParamInfo> {
    let of_layer = |param: &ParamInfo| layers.iter().any(|of| of.path == param.module_path());
    let own = params.iter().filter(|param| param.adapter.is_none());
    own.filter(move |param| !of_layer(param))
}

/// The last path segments of the layers, each once.
fn suffixes_of(layers: &[Layer]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    layers
        .iter()
        .map(|layer| {
            layer
                .path
                .rsplit_once('.')
                .map_or(layer.path.as_str(), |(_, last)| last)
        })
        .filter(|suffix| seen.insert(*suffix))
        .map(str::to_owned)
        .collect()
}
