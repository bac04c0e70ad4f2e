//! The small model of `peft-conformance`, and ways to look inside any module.

pub(crate) use peft_conformance::{
    D_MODEL, Net, VOCABULARY, adapter_paths, assert_close, assert_differs, assert_same, filled,
    filled_adapters, ids, is_adapter, params, slot_state, steps, trained, values,
};
