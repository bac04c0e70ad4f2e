//! [`write_checkpoint`]: a model as an HF checkpoint directory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::tensor::{Dtype, View};
use serde_json::{Map, Value};

use super::CheckpointError;
use super::file::{io, transpose};
use crate::params::stored_params;

/// Files that go with a model unchanged.
const COMPANIONS: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "LICENSE",
];

/// Write `model` to `dir` in `dtype`: weights, `config.json` from `fields`, and the files of `companions` that go with a model.
///
/// Each file is written beside and renamed, but the directory is filled in place; write to a new one and rename it when it has been checked. Adapters must have been merged.
///
/// # Errors
///
/// A [`CheckpointError`].
pub fn write_checkpoint<M: Module>(
    model: &M,
    fields: &Map<String, Value>,
    companions: Option<&Path>,
    dtype: DType,
    dir: &Path,
) -> Result<(), CheckpointError> {
    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    let mut collector = Collector::default();
    model.visit(&mut collector);
    let transposed: HashMap<String, bool> = stored_params(model)
        .into_iter()
        .map(|param| (param.path, param.transposed))
        .collect();
    let tensors: Vec<(String, Stored)> = collector
        .params
        .into_iter()
        .filter_map(|(path, shape, read)| {
            let transposed = *transposed.get(&path)?;
            let mut shape = shape;
            if transposed {
                shape.reverse();
            }
            let stored = Stored {
                shape,
                dtype,
                transposed,
                read,
            };
            Some((path, stored))
        })
        .collect();
    let weights = dir.join("model.safetensors");
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), &weights).map_err(|source| {
        CheckpointError::Write {
            path: weights.clone(),
            source,
        }
    })?;

    let mut fields = fields.clone();
    let name = match dtype {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    };
    fields.remove("torch_dtype");
    fields.insert("dtype".into(), name.into());
    let path = dir.join("config.json");
    let mut json = serde_json::to_vec_pretty(&fields).map_err(|source| CheckpointError::Json {
        path: path.clone(),
        source,
    })?;
    json.push(b'\n');
    let beside = dir.join(".config.json.part");
    fs::write(&beside, json).map_err(|source| io("write", &beside, source))?;
    fs::rename(&beside, &path).map_err(|source| io("write", &path, source))?;
    // The weights come from a private temporary file; whoever may read the config may read them.
    fs::metadata(&path)
        .and_then(|config| fs::set_permissions(&weights, config.permissions()))
        .map_err(|source| io("write", &weights, source))?;

    for name in COMPANIONS {
        if let Some(from) = companions
            .map(|source| source.join(name))
            .filter(|p| p.is_file())
        {
            let to = dir.join(name);
            fs::copy(&from, &to).map_err(|source| io("copy", &from, source))?;
        }
    }
    Ok(())
}

type Read = Box<dyn Fn() -> TensorData>;

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    params: Vec<(String, Vec<usize>, Read)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        self.params.push((
            self.path.join("."),
            param.lazy_shape().to_vec(),
            Box::new(move || tensor.clone().into_data()),
        ));
    }
}

/// A tensor that is converted when it is written, so that no second copy of the model is held.
struct Stored {
    shape: Vec<usize>,
    dtype: DType,
    transposed: bool,
    read: Read,
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let data = (self.read)().convert_dtype(match self.dtype {
            DType::BF16 | DType::F16 => self.dtype,
            _ => DType::F32,
        });
        let bytes = data.as_bytes();
        match (self.transposed, self.shape.as_slice()) {
            // What is stored as [out, in] is held as [in, out].
            (true, &[d_out, d_in]) => {
                Cow::Owned(transpose(bytes, d_in, d_out, data.dtype().size()))
            }
            _ => Cow::Owned(bytes.to_vec()),
        }
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype().bitsize() / 8
    }
}
