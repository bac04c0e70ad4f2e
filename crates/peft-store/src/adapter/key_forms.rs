//! [`forms`] and [`copied_bias`]: the forms that the key of one tensor takes.

/// What a module that trains whole lies under in the state of a whole model.
const WHOLE: &str = "modules_to_save";
/// What wrappers of a whole model put before its keys.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "_fsdp_wrapped_module."];

/// The keys that a file's key may stand for, the likeliest first: it may have the adapter's name in
/// it, a wrapper's prefix before it, or PEFT's own `prefix` missing. `tensors` are what the
/// method's are called, behind which the name stands.
pub(super) fn forms(key: &str, prefix: &str, tensors: &[&str]) -> Vec<String> {
    let mut bare = key;
    while let Some(rest) = WRAPPERS
        .iter()
        .find_map(|wrapper| bare.strip_prefix(wrapper))
    {
        bare = rest;
    }
    let mut forms = Vec::new();
    for form in [key, bare, &without_name(bare, tensors)] {
        for form in [form.to_owned(), format!("{prefix}{form}")] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The key of the bias that this one is a copy of.
///
/// Where all biases train, PEFT saves that of a module that trains whole three times: as its own,
/// and under both names that its wrapper of the module has, the trained one and the base's. It
/// reads the first into the adapter.
pub(super) fn copied_bias(key: &str) -> Option<String> {
    let (module, inside) = [WHOLE, "original_module"]
        .iter()
        .find_map(|wrapper| key.split_once(&format!(".{wrapper}.")))?;
    key.ends_with(".bias").then(|| format!("{module}.{inside}"))
}

/// A key without the segment that is the adapter's name.
fn without_name(key: &str, tensors: &[&str]) -> String {
    let segments: Vec<&str> = key.split('.').collect();
    let names = |name: &&str| tensors.contains(name) || *name == WHOLE;
    let Some(at) = segments.iter().rposition(names) else {
        return key.into();
    };
    let whole = segments[at] == WHOLE;
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
        let tensors = ["lora_A", "lora_embedding_A"];
        let keys = [
            "base_model.model.l.0.q.lora_A.weight",
            "base_model.model.e.lora_embedding_A",
            "base_model.model.head.weight",
        ];
        for (key, of) in [
            (keys[0], Some(keys[0])),
            (
                "base_model.model.l.0.q.lora_A.default.weight",
                Some(keys[0]),
            ),
            ("base_model.model.l.0.q.lora_A.my-run.weight", Some(keys[0])),
            ("base_model.model.l.0.q.lora_A.lora_B.weight", Some(keys[0])),
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
            let forms = forms(key, prefix, &tensors);
            let found = forms.iter().find(|form| keys.contains(&form.as_str()));
            assert_eq!(found.map(String::as_str), of, "{key}");
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
