//! A checkpoint put into a model by nothing but names: what the paths of the encoders promise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_models::{
    Activation, BertConfig, DistilBertConfig, ModernBertConfig, Pooling, RopeConfig,
};
use safetensors::SafeTensors;
use serde_json::Value;

/// A golden: a checkpoint directory with what transformers computes.
pub(super) struct Golden {
    pub(super) dir: PathBuf,
    pub(super) config: Value,
    expected: Vec<u8>,
}

pub(super) fn goldens() -> PathBuf {
    let goldens = std::env::var_os("PEFT_GOLDENS").map(PathBuf::from);
    goldens
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens"))
        .join("encoders")
}

fn tensors(bytes: &[u8]) -> BTreeMap<String, TensorData> {
    let file = SafeTensors::deserialize(bytes).expect("sound");
    file.iter()
        .map(|(key, view)| {
            let dtype = match view.dtype() {
                safetensors::Dtype::F32 => DType::F32,
                safetensors::Dtype::I64 => DType::I64,
                other => panic!("{other:?} of `{key}`"),
            };
            let (bytes, shape) = (view.data().to_vec(), view.shape().to_vec());
            let data = TensorData::from_bytes_vec(bytes, shape, dtype);
            (key.to_owned(), data)
        })
        .collect()
}

impl Golden {
    pub(super) fn open(name: &str) -> Self {
        let dir = goldens().join(name);
        let read = |file: &str| fs::read(dir.join(file)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self {
            config: serde_json::from_slice(&read("config.json")).expect("JSON"),
            expected: read("expected.safetensors"),
            dir,
        }
    }

    pub(super) fn floats<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let data = tensors(&self.expected).remove(name).expect(name);
        Tensor::from_data(data, (device, DType::F32))
    }

    pub(super) fn ints(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let data = tensors(&self.expected).remove(name).expect(name);
        Tensor::from_data(data, device)
    }

    /// `model` with the checkpoint's weights; every tensor has its place and every place its
    /// tensor.
    pub(super) fn load<M: Module>(&self, model: M, dtype: DType) -> M {
        struct Fill(
            Vec<String>,
            Vec<String>,
            BTreeMap<String, TensorData>,
            DType,
        );
        impl ModuleMapper for Fill {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.0.push(name.into());
                self.1.push(container.into());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.0.pop();
                self.1.pop();
            }
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let path = self.0.join(".");
                let data = self.2.remove(&path);
                let data = data.unwrap_or_else(|| panic!("`{path}` is not in the file"));
                let tensor = Tensor::<D>::from_data(data, (&param.lazy_device(), self.3));
                let linear = self.1.last().is_some_and(|last| last == "Struct:Linear");
                let tensor = match linear && D == 2 {
                    true => tensor.transpose(),
                    false => tensor,
                };
                param.map(|old| {
                    assert_eq!(old.dims(), tensor.dims(), "`{path}`");
                    tensor
                })
            }
        }
        let bytes = fs::read(self.dir.join("model.safetensors")).expect("the weights");
        let mut fill = Fill(Vec::new(), Vec::new(), tensors(&bytes), dtype);
        let model = model.map(&mut fill);
        assert!(fill.2.is_empty(), "no place for {:?}", fill.2.keys());
        model
    }

    pub(super) fn n_labels(&self) -> usize {
        let labels = self.config["id2label"].as_object();
        labels.expect("labels").len()
    }

    fn size(&self, field: &str) -> usize {
        self.config[field].as_u64().expect(field) as usize
    }

    fn float(&self, field: &str) -> f64 {
        self.config[field].as_f64().expect(field)
    }

    fn flag(&self, field: &str) -> bool {
        self.config[field].as_bool().expect(field)
    }

    fn activation(&self, field: &str) -> Activation {
        match self.config[field].as_str().expect(field) {
            "gelu" => Activation::Gelu,
            "gelu_new" => Activation::GeluTanh,
            other => panic!("{other}"),
        }
    }

    pub(super) fn bert(&self) -> BertConfig {
        let offset = match self.config["model_type"].as_str() {
            Some("bert") => 0,
            _ => self.size("pad_token_id") + 1,
        };
        let hidden_dropout = self.float("hidden_dropout_prob");
        BertConfig {
            vocab_size: self.size("vocab_size"),
            d_model: self.size("hidden_size"),
            d_ff: self.size("intermediate_size"),
            n_layers: self.size("num_hidden_layers"),
            n_heads: self.size("num_attention_heads"),
            max_positions: self.size("max_position_embeddings") - offset,
            position_offset: offset,
            n_token_types: self.size("type_vocab_size"),
            norm_epsilon: self.float("layer_norm_eps"),
            activation: self.activation("hidden_act"),
            pooler: true,
            hidden_dropout,
            attention_dropout: self.float("attention_probs_dropout_prob"),
            classifier_dropout: self.config["classifier_dropout"]
                .as_f64()
                .unwrap_or(hidden_dropout),
        }
    }

    pub(super) fn distilbert(&self) -> DistilBertConfig {
        DistilBertConfig {
            vocab_size: self.size("vocab_size"),
            d_model: self.size("dim"),
            d_ff: self.size("hidden_dim"),
            n_layers: self.size("n_layers"),
            n_heads: self.size("n_heads"),
            max_positions: self.size("max_position_embeddings"),
            activation: self.activation("activation"),
            hidden_dropout: self.float("dropout"),
            attention_dropout: self.float("attention_dropout"),
            classifier_dropout: self.float("seq_classif_dropout"),
        }
    }

    pub(super) fn modernbert(&self) -> ModernBertConfig {
        let rope = |kind: &str| {
            let theta = &self.config["rope_parameters"][kind]["rope_theta"];
            RopeConfig::new(theta.as_f64().expect("a base"))
        };
        let kinds = self.config["layer_types"].as_array().expect("layer_types");
        ModernBertConfig {
            vocab_size: self.size("vocab_size"),
            d_model: self.size("hidden_size"),
            d_ff: self.size("intermediate_size"),
            n_heads: self.size("num_attention_heads"),
            max_positions: self.size("max_position_embeddings"),
            windowed: kinds
                .iter()
                .map(|kind| kind == "sliding_attention")
                .collect(),
            reach: self.size("local_attention") / 2,
            global_rope: rope("full_attention"),
            local_rope: rope("sliding_attention"),
            norm_epsilon: self.float("norm_eps"),
            norm_bias: self.flag("norm_bias"),
            attention_bias: self.flag("attention_bias"),
            mlp_bias: self.flag("mlp_bias"),
            activation: self.activation("hidden_activation"),
            classifier_pooling: match self.config["classifier_pooling"].as_str() {
                Some("mean") => Pooling::Mean,
                _ => Pooling::First,
            },
            classifier_bias: self.flag("classifier_bias"),
            classifier_activation: self.activation("classifier_activation"),
            embedding_dropout: self.float("embedding_dropout"),
            attention_dropout: self.float("attention_dropout"),
            mlp_dropout: self.float("mlp_dropout"),
            classifier_dropout: self.float("classifier_dropout"),
        }
    }
}
