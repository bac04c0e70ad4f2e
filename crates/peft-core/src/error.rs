//! [`PeftError`]: what can be wrong with a request to adapt a model.

use crate::LayerKind;

/// A request that was refused. The model is as it was before.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeftError {
    /// An entry of a list of names selected nothing.
    #[error(
        "{what} `{entry}` matches nothing in this model{}; it has {}",
        nearest.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default(),
        list(available)
    )]
    Unmatched {
        /// What the entry is: `target`, `exclusion`, `rank pattern` ...
        what: &'static str,
        /// The entry.
        entry: String,
        /// The available name most like it.
        nearest: Option<String>,
        /// The names that would match.
        available: Vec<String>,
    },
    /// Every layer that the targets name is excluded, by name or by index.
    #[error(
        "nothing is left to adapt: {matched} layers match the targets, and none of them is among the chosen layers outside the exclusions"
    )]
    AllExcluded {
        /// How many layers matched before.
        matched: usize,
    },
    /// The model has no layer that could be adapted.
    #[error("the model has no Linear or Embedding layer")]
    NoLayers,
    /// A layer index that the model does not have.
    #[error("layer {index} does not exist: the model's layers are 0 to {}", count.saturating_sub(1))]
    NoSuchLayerIndex {
        /// The index asked for.
        index: usize,
        /// How many layers there are.
        count: usize,
    },
    /// More of the first or last layers than the model has, or none of them.
    #[error("{asked} of the model's {count} layers were asked for; choose 1 to {count}")]
    LayerCount {
        /// How many were asked for.
        asked: usize,
        /// How many layers there are.
        count: usize,
    },
    /// Layers were chosen by index, and the targets have no index in their paths.
    #[error(
        "layers were chosen by index, but no target has a layer index in its path (`{path}` for example)"
    )]
    NoLayerIndex {
        /// One of the targets.
        path: String,
    },
    /// A pattern is no regular expression.
    #[error("{what} `{pattern}` is no regular expression: {reason}")]
    InvalidRegex {
        /// What the pattern is.
        what: &'static str,
        /// The pattern.
        pattern: String,
        /// What the parser said.
        reason: String,
    },
    /// A target is a module of a type that the method does not adapt.
    #[error("{method} cannot adapt `{path}`, a {kind}; it adapts {}", supported.join(" and "))]
    UnsupportedLayer {
        /// The method.
        method: &'static str,
        /// The module's path.
        path: String,
        /// Its type.
        kind: String,
        /// The types that the method adapts.
        supported: Vec<String>,
    },
    /// A setting that cannot be.
    #[error("{field} is {value}, but must be {expected}")]
    InvalidSetting {
        /// The setting, and where it was said if that matters.
        field: String,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An adapter of this name is attached already.
    #[error(
        "an adapter named `{name}` is attached already; choose another name or detach it first"
    )]
    DuplicateAdapter {
        /// The name.
        name: String,
    },
    /// The model has one of these already, and takes only one.
    #[error("the model has a {method} already; take it off before it gets another")]
    AlreadyThere {
        /// The method.
        method: &'static str,
    },
    /// No adapter of this name is attached.
    #[error(
        "no adapter is named `{name}`{}; attached: {}",
        nearest(name, available).map(|name| format!(", did you mean `{name}`?")).unwrap_or_default(),
        list(available)
    )]
    UnknownAdapter {
        /// The name.
        name: String,
        /// The names that are attached.
        available: Vec<String>,
    },
    /// An adapter's name cannot be part of a path.
    #[error("`{name}` cannot name an adapter: use letters, digits, `-` and `_`")]
    InvalidAdapterName {
        /// The name.
        name: String,
    },
    /// Weight space cannot carry what the adapter does to this layer.
    #[error(
        "{method} on `{path}` needs the factored path: {reason}; if the model calls peft_core::linear for its layers, say so with ForwardPath::Factored"
    )]
    NeedsFactoredPath {
        /// The method.
        method: &'static str,
        /// The layer.
        path: String,
        /// What the weight cannot carry.
        reason: &'static str,
    },
    /// A merged model has no place for what the adapter does.
    #[error("{method} on `{path}` cannot be merged: {reason}")]
    CannotMerge {
        /// The method.
        method: &'static str,
        /// The parameter.
        path: String,
        /// What has no place.
        reason: &'static str,
    },
    /// What the method acts on is not what it was to be attached to.
    #[error("{method} attaches to {place}")]
    AttachesElsewhere {
        /// The method.
        method: &'static str,
        /// What it acts on, and how it gets there.
        place: &'static str,
    },
    /// A parameter is reparameterized by something other than a slot.
    #[error(
        "`{path}` already carries a `{kind}` reparameterization; materialize or remove it before using adapters"
    )]
    ForeignReparameterization {
        /// The parameter.
        path: String,
        /// The name of its reparameterization.
        kind: String,
    },
    /// A parameter that is trained whole is adapted by the same adapter too.
    #[error(
        "`{path}` is both a target and to be trained whole by adapter `{name}`; exclude it from one"
    )]
    TargetedTwice {
        /// The parameter.
        path: String,
        /// The adapter.
        name: String,
    },
    /// Running statistics stand in the way.
    #[error("the running statistics of `{path}` {problem}")]
    Statistics {
        /// The module that keeps them, or the path of one of them.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Merging would write values that are not finite.
    #[error("merging `{path}` gives values that are not finite; the model is unchanged")]
    NonFinite {
        /// The parameter.
        path: String,
    },
    /// Merging would drop adapters that are attached but do not act.
    #[error(
        "merging would drop {}, which are attached but not active everywhere; activate or detach them first",
        list(names)
    )]
    InactiveAdapters {
        /// Their names.
        names: Vec<String>,
    },
    /// Adapters were to be chosen for rows while gradients are on.
    #[error(
        "adapters are chosen for the rows of a batch outside of training only; leave it with `valid()` first"
    )]
    RoutedInTraining,
    /// Rows of a batch go through adapters of their own.
    #[error("adapters are chosen for the rows of a batch; `unroute` the model first")]
    Routed,
    /// An adapter was to take the place of one of another method or on other layers.
    #[error(
        "`{with}` cannot take the place of `{name}`: they differ in {}",
        list(places)
    )]
    UnlikeAdapters {
        /// The adapter that is there.
        name: String,
        /// The one that was to take its place.
        with: String,
        /// The parameters that one of them alone is on, or both with another method, and which it
        /// is.
        places: Vec<String>,
    },
    /// A matrix that adapters do not share, or share in another shape.
    #[error("the adapters `{adapter}` share no matrix `{name}` of shape {shape:?}")]
    NotShared {
        /// The adapters' name.
        adapter: String,
        /// The matrix's.
        name: String,
        /// Its shape.
        shape: [usize; 2],
    },
    /// The model has no adapter, and the request needs one.
    #[error("the model has no adapter")]
    NoAdapter,
}

/// The first names of a list, in backquotes, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "none".into();
    }
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl PeftError {
    pub(crate) fn unmatched(what: &'static str, entry: &str, available: Vec<String>) -> Self {
        Self::Unmatched {
            what,
            entry: entry.into(),
            nearest: nearest_end(entry, &available),
            available,
        }
    }

    pub(crate) fn unsupported(
        method: &'static str,
        path: &str,
        kind: impl ToString,
        supported: &[LayerKind],
    ) -> Self {
        Self::UnsupportedLayer {
            method,
            path: path.into(),
            kind: kind.to_string(),
            supported: supported.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The end of a path that is most like `entry`, of as many segments. Where it is the entry itself,
/// that was an expression, which matches whole paths: the one that does is given.
pub(crate) fn nearest_end(entry: &str, paths: &[String]) -> Option<String> {
    let segments = entry.split('.').count();
    let end = |path: &String| {
        let all: Vec<&str> = path.split('.').collect();
        all[all.len().saturating_sub(segments)..].join(".")
    };
    let found = nearest(entry, &paths.iter().map(end).collect::<Vec<_>>())?;
    Some(match found == entry {
        true => format!(".*{found}"),
        false => found,
    })
}

/// The name most like `entry`, if one is like it at all. One or two letters are like what begins
/// with them, and nothing else: a table's column `a` is no misspelt `tags`.
pub fn nearest(entry: &str, names: &[String]) -> Option<String> {
    let is_short = entry.chars().count() < 3;
    names
        .iter()
        .filter(|name| !is_short || name.starts_with(entry))
        .map(|name| (strsim::jaro_winkler(entry, name), name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_nearest_name_is_like_the_entry() {
        let known = names(&["k_proj", "q_proj", "down_proj"]);
        assert_eq!(nearest("q_porj", &known).as_deref(), Some("q_proj"));
        assert_eq!(nearest("donw_proj", &known).as_deref(), Some("down_proj"));
        assert_eq!(nearest("xyz", &known), None);
        assert_eq!(nearest("q", &known).as_deref(), Some("q_proj"));
        assert_eq!(nearest("a", &names(&["tags", "label"])), None);
        assert_eq!(nearest("q_proj", &[]), None);
    }

    #[test]
    fn the_nearest_end_has_as_many_segments() {
        let paths = names(&["h.0.attn.q_proj", "h.0.mlp.up_proj", "head"]);
        assert_eq!(nearest_end("q_porj", &paths).as_deref(), Some("q_proj"));
        assert_eq!(
            nearest_end("atn.q_proj", &paths).as_deref(),
            Some("attn.q_proj")
        );
        assert_eq!(nearest_end("haed", &paths).as_deref(), Some("head"));
        assert_eq!(nearest_end("up_proj", &paths).as_deref(), Some(".*up_proj"));
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<String> = (0..23).map(|i| i.to_string()).collect();
        assert_eq!(list(&[]), "none");
        assert_eq!(list(&many[..2]), "`0`, `1`");
        assert!(list(&many).ends_with("`19` and 3 more"));
    }
}
