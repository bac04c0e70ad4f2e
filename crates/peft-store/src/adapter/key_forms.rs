//! [`own_key`]: the forms that the key of one tensor takes.

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
}
