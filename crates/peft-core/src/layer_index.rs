//! The index of the block that a layer lies in, read from its path as PEFT's `layers_to_transform` does.

/// The first number with at least two segments before it and one after it; or the number after the first name of `after` that the path has.
/// Where there is no such number, the first that there is, so that a list of layers may be a model's own field.
pub(crate) fn layer_index(path: &str, after: &[String]) -> Option<usize> {
    let segments: Vec<&str> = path.split('.').collect();
    number(&segments, place(&segments, after)?)
}

/// The list of modules that a path lies in, and its index there: what [`layer_index`] finds, with the path before it.
pub(crate) fn layer_in_list(path: &str) -> Option<(String, usize)> {
    let segments: Vec<&str> = path.split('.').collect();
    let at = place(&segments, &[])?;
    Some((segments[..at].join("."), number(&segments, at)?))
}

fn number(segments: &[&str], at: usize) -> Option<usize> {
    segments[at].parse().ok()
}

/// The segment that is the index.
fn place(segments: &[&str], after: &[String]) -> Option<usize> {
    let last = segments.len() - 1;
    let numbered = |at: &usize| number(segments, *at).is_some();
    if after.is_empty() {
        let nested = (2..last).find(numbered);
        return nested.or_else(|| (1..=last).find(numbered));
    }
    let behind = |name: &String, end: usize| {
        let name: Vec<&str> = name.split('.').collect();
        (name.len()..end)
            .filter(|at| segments[..*at].ends_with(&name))
            .find(numbered)
    };
    let nested = after.iter().find_map(|name| behind(name, last));
    nested.or_else(|| after.iter().find_map(|name| behind(name, last + 1)))
}

#[cfg(test)]
mod tests {
    use super::layer_index;

    fn index(after: &[&str], path: &str) -> Option<usize> {
        let after: Vec<String> = after.iter().map(|name| (*name).to_owned()).collect();
        layer_index(path, &after)
    }

    /// What PEFT 0.21 finds, by its `check_target_module_exists`.
    #[test]
    fn it_is_the_one_that_peft_finds() {
        let experts = "model.layers.11.mlp.experts.3.up";
        for (after, path, expected) in [
            (&[][..], experts, Some(11)),
            (&[], "model.layers.2.mlp.0", Some(2)),
            (&[], "model.0.1.q", Some(1)),
            (&[], "a.b.c.4.5.q", Some(4)),
            (&[], "layers.0.experts.3.up", Some(3)),
            (&[], "head", None),
            (&["experts", "layers"], experts, Some(3)),
            (&["layers", "experts"], experts, Some(11)),
            (&["model.layers"], experts, Some(11)),
            (&["layers"], "layers.7.q", Some(7)),
            (&["layers"], "layers.0.experts.3.up", Some(0)),
            (&["experts"], "layers.7.q", None),
            (&["model.layers"], "layers.7.q", None),
        ] {
            assert_eq!(index(after, path), expected, "{path} after {after:?}");
        }
    }

    /// PEFT finds no index in these.
    #[test]
    fn a_list_of_layers_may_be_the_models_own_field() {
        assert_eq!(index(&[], "layers.7.q"), Some(7));
        assert_eq!(index(&[], "layers.7"), Some(7));
        assert_eq!(index(&["blocks"], "stages.2.blocks.1"), Some(1));
    }
}
