//! [`own_key`] and [`copied_bias`]: the forms that the key of one tensor takes.

use std::collections::HashSet;

/// What comes before the name of an adapter in a key of a whole model's state.
const BEFORE_NAME: [&str; 6] = [
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "ia3_l",
    "modules_to_save",
];
/// What wrappers of a whole model put before its keys.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "_fsdp_wrapped_module."];

/// The expected key that a file's key stands for, which may have the adapter's name in it, a wrapper's
/// prefix before it, or PEFT's own prefix missing; none where it stands for none.
pub(super) fn own_key(key: &str, prefix: &str, expected: &HashSet<&str>) -> Option<String> {
    let mut bare = key;
    while let Some(rest) = WRAPPERS
        .iter()
        .find_map(|wrapper| bare.strip_prefix(wrapper))
    {
        bare = rest;
    }
    let unnamed = without_name(bare);
    [key, bare, unnamed.as_str()]
        .into_iter()
        .flat_map(|form| [form.to_owned(), format!("{prefix}{form}")])
        .find(|form| expected.contains(form.as_str()))
}

/// The key of the bias that this one is a copy of.
///
/// Where all biases train, PEFT saves that of a module that trains whole three times: as its own,
/// and under both names that its wrapper of the module has, the trained one and the base's. It
/// reads the first into the adapter.
pub(super) fn copied_bias(key: &str) -> Option<String> {
    let (module, inside) = ["modules_to_save", "original_module"]
        .iter()
        .find_map(|wrapper| key.split_once(&format!(".{wrapper}.")))?;
    key.ends_with(".bias").then(|| format!("{module}.{inside}"))
}

/// A key without the segment that is the adapter's name.
fn without_name(key: &str) -> String {
    let segments: Vec<&str> = key.split('.').collect();
    let at = segments.iter().rposition(|name| BEFORE_NAME.contains(name));
    let Some(at) = at else {
        return key.into();
    };
    let whole = segments[at] == "modules_to_save";
    let kept = segments.iter().enumerate();
    let kept = kept.filter(|(i, _)| *i != at + 1 && !(whole && *i == at));
    kept.map(|(_, name)| *name).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_known_by_each_form_of_its_key() {
        let prefix = "base_model.model.";
        let keys = [
            "base_model.model.l.0.q.lora_A.weight",
            "base_model.model.e.lora_embedding_A",
            "base_model.model.head.weight",
        ];
        let expected = HashSet::from(keys);
        for (key, of) in [
            (keys[0], Some(keys[0])),
            (
                "base_model.model.l.0.q.lora_A.default.weight",
                Some(keys[0]),
            ),
            ("base_model.model.l.0.q.lora_A.my-run.weight", Some(keys[0])),
            ("l.0.q.lora_A.weight", Some(keys[0])),
            (
                "module._orig_mod.base_model.model.l.0.q.lora_A.weight",
                Some(keys[0]),
            ),
            ("base_model.model.e.lora_embedding_A.default", Some(keys[1])),
            (
                "base_model.model.head.modules_to_save.default.weight",
                Some(keys[2]),
            ),
            ("base_model.model.l.1.q.lora_A.weight", None),
            ("base_model.model.l.0.q.lora_A.a.b.weight", None),
            ("lora_A", None),
            ("", None),
        ] {
            assert_eq!(own_key(key, prefix, &expected).as_deref(), of, "{key}");
        }
    }

    #[test]
    fn a_copy_of_a_bias_is_known() {
        for (key, of) in [
            ("head.modules_to_save.bias", Some("head.bias")),
            ("head.original_module.bias", Some("head.bias")),
            ("mlp.modules_to_save.up.bias", Some("mlp.up.bias")),
            ("head.original_module.weight", None),
            ("head.bias", None),
        ] {
            assert_eq!(copied_bias(key).as_deref(), of, "{key}");
        }
    }
}
