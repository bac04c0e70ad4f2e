//! The base that an adapter was trained on, told from others of its shapes by a digest in the
//! tensors' file. PEFT passes over it.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Module;
use peft_core::{Adapter, Whole, slots};

use crate::base_digest::{base_digest, other_base};

/// Under which name the digest is among the texts of the tensors' file.
pub(crate) const BASE_DIGEST: &str = "base_digest";

/// The digest of what lies under adapter `name` of `model`: the base but what trains whole with it,
/// of which the file has its own.
/// In the file too are those of the base's weights that are `replaced`.
pub(super) fn digest<M: Module>(model: &M, name: &str, replaced: &[String]) -> String {
    let mut except = whole(model, name);
    except.extend(replaced.iter().cloned());
    base_digest(model, &except)
}

/// The paths of what trains whole with adapter `name`.
pub(crate) fn whole<M: Module>(model: &M, name: &str) -> BTreeSet<String> {
    let slots = slots(model).into_iter();
    let whole = slots.filter(|(_, slot)| slot.method(name) == Some(Whole::<1>::NAME));
    whole.map(|(path, _)| path).collect()
}

/// A warning where an adapter that a file says was trained on a base of the digest `expected` was
/// attached to another, `model`; what is at `except` is in the file.
pub(crate) fn other_base_warning<M: Module>(
    model: &M,
    except: BTreeSet<String>,
    expected: Option<&str>,
    (dir, base): (&Path, Option<&str>),
) -> Option<String> {
    let expected = expected?;
    let found = other_base(model, &except, expected)?;
    Some(format!(
        "{} was trained on {}, whose weights have the checksum {expected}, and this model's have {found}: it is another base of the same shapes, on which the adapter does not do what it learnt",
        dir.display(),
        base.map_or("a model".into(), |base| format!("`{base}`"))
    ))
}
