//! Files of tensors as numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// Shapes and values by key.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// The tensors of a file, of f32 or i64.
///
/// # Panics
///
/// If there is no such file, or it has other tensors.
pub fn read_tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    file.iter()
        .map(|(key, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::I64 => data
                    .chunks_exact(8)
                    .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as f64)
                    .collect(),
                Dtype::U8 => data.iter().map(|b| f64::from(*b)).collect(),
                Dtype::I16 => data
                    .chunks_exact(2)
                    .map(|b| f64::from(i16::from_le_bytes(b.try_into().expect("2 bytes"))))
                    .collect(),
                Dtype::I32 => data
                    .chunks_exact(4)
                    .map(|b| f64::from(i32::from_le_bytes(b.try_into().expect("4 bytes"))))
                    .collect(),
                Dtype::F32 => data
                    .chunks_exact(4)
                    .map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("4 bytes"))))
                    .collect(),
                other => panic!("{key} is {other:?}"),
            };
            (key.to_owned(), (view.shape().to_vec(), values))
        })
        .collect()
}

/// Whether PEFT saves this key beside the module's own, under a name that its wrapper of the module
/// has.
pub fn is_copied_bias(key: &str) -> bool {
    key.contains(".modules_to_save.") || key.contains(".original_module.")
}
