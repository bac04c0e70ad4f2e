//! Adapters on the embedding of a model whose output layer is tied to it: the output layer stays
//! the base's, as in PEFT, and what is merged says that the two differ.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor};
use peft_core::{Choice, ForwardPath, PeftError, Placed, Placement, Targets, merge};
use peft_lora::LoraConfig;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{
    AdapterConfig, AdapterDir, AdapterInfo, Checkpoint, save_adapter, write_checkpoint,
};
use peft_tests::Invariant;
use peft_tests::tolerance::PATHS;

use crate::fixture::{assert_close, assert_differs, assert_same, filled_adapters, params};
use crate::models::ids;

peft_tests::cases!(
    an_embeddings_adapter_leaves_the_output_layer,
    what_is_merged_unties_itself,
    files_keep_it,
    an_output_layer_of_its_own_can_be_adapted,
);

/// The tied goldens: Llama and GPT-2.
const BASES: [&str; 2] = ["tied", "gpt2"];

fn open(name: &str) -> Checkpoint {
    let goldens: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    Checkpoint::open(goldens.join("models").join(name)).expect("it opens")
}

fn base(name: &str, device: &Device) -> LanguageModel {
    let model = open(name).load(device, DType::F32).expect("it loads");
    assert!(model.config().has_tied_head());
    model
}

fn hidden(model: &LanguageModel) -> Tensor<3> {
    let device = burn::module::Module::devices(model).remove(0);
    model.hidden(ids(2, 6, model.vocab_size(), &device), None, None)
}

fn logits(model: &LanguageModel) -> Tensor<3> {
    model.logits(hidden(model))
}

/// LoRA on the embedding, a copy of it beside a LoRA elsewhere, and LoRA elsewhere alone.
fn configs(model: &LanguageModel) -> [(&'static str, LoraConfig); 3] {
    let inner = match model {
        LanguageModel::Gpt2(_) => "c_fc",
        _ => "q_proj",
    };
    let on = |targets: &[&str]| {
        LoraConfig::new(3, 5.0)
            .with_targets(Targets::suffixes(targets.iter().copied()))
            .with_path(ForwardPath::Factored)
    };
    let embedding = model.embedding_path();
    [
        ("lora", on(&[embedding, inner])),
        ("whole", on(&[inner]).with_whole_modules([embedding])),
        ("", on(&[inner])),
    ]
}

fn adapted(model: &LanguageModel, config: &LoraConfig) -> LanguageModel {
    let mut model = model.clone();
    config.attach(&mut model, "default").expect("it attaches");
    filled_adapters(model)
}

fn an_embeddings_adapter_leaves_the_output_layer(device: &Device) {
    for name in BASES {
        let base = base(name, device);
        for (method, config) in configs(&base) {
            let model = adapted(&base, &config);
            assert!(model.config().has_tied_head());
            let states = hidden(&model);
            assert_differs(&states, &hidden(&base));
            assert_same(&model.logits(states.clone()), &base.logits(states));
            let ids = ids(2, 6, base.vocab_size(), device);
            if !method.is_empty() {
                assert_differs(&model.embed(ids.clone()), &base.embed(ids));
            }
        }
    }
}

/// The checkpoint of a merged model computes what the adapted one did, tied if and only if the
/// embedding was left alone.
fn what_is_merged_unties_itself(device: &Device) {
    for name in BASES {
        let checkpoint = open(name);
        let base = base(name, device);
        for (method, config) in configs(&base) {
            let model = adapted(&base, &config);
            let expected = logits(&model);
            let mut merged = model.untie_if_adapted();
            drop(merge(&mut merged).expect("it acts"));
            let tied = method.is_empty();
            assert_eq!(merged.config().has_tied_head(), tied);
            assert_close(&logits(&merged), &expected, PATHS);

            let dir = tempfile::tempdir().expect("a directory");
            let fields = checkpoint.fields_of(&merged);
            assert_eq!(fields["tie_word_embeddings"], tied);
            write_checkpoint(&merged, &fields, None, DType::F32, dir.path()).expect("written");
            let read = Checkpoint::open(dir.path()).expect("it opens");
            let read = read.load(device, DType::F32).expect("it loads");
            assert_eq!(read.config().has_tied_head(), tied);
            assert_eq!(params(&read).contains_key("lm_head.weight"), !tied);
            assert_same(&logits(&read), &logits(&merged));
            if !tied {
                Invariant::Tied.verified(method, device);
            }
        }
    }
}

/// Written and read onto a tied base, it computes what it did; nothing of the output layer is in
/// its file.
fn files_keep_it(device: &Device) {
    for name in BASES {
        let base = base(name, device);
        for (_, config) in configs(&base) {
            let model = adapted(&base, &config);
            let dir = tempfile::tempdir().expect("a directory");
            let config = AdapterConfig::Lora(config);
            save_adapter(&model, "default", &config, &AdapterInfo::new(), &dir).expect("written");
            let dir = AdapterDir::open(&dir).expect("it opens");
            let shapes = dir.tensor_shapes().expect("tensors");
            assert!(shapes.iter().all(|(key, _)| !key.contains("lm_head")));
            let mut read = base.clone();
            dir.attach(&mut read, "default", ForwardPath::Factored)
                .expect("it attaches");
            assert_same(&logits(&read), &logits(&model));
        }
    }
}

/// There is no output layer to adapt until it is given weights of its own; then its adapter leaves
/// the embedding.
fn an_output_layer_of_its_own_can_be_adapted(device: &Device) {
    for name in BASES {
        let base = base(name, device);
        let lora = LoraConfig::new(3, 5.0)
            .with_targets(Targets::suffixes(["lm_head"]))
            .with_path(ForwardPath::Factored);
        let mut tied = base.clone();
        let refused = lora.attach(&mut tied, "default");
        assert!(matches!(refused, Err(PeftError::Unmatched { .. })));
        let whole = LoraConfig {
            placement: Placement {
                whole_modules: vec!["lm_head".into()],
                ..configs(&base)[2].1.placement.clone()
            },
            ..lora.clone()
        };
        assert_ne!(*whole.placement.targets.choice(), Choice::AllLinear);
        for config in [lora, whole] {
            let own = base.clone().untie();
            let model = adapted(&own, &config);
            let states = hidden(&model);
            assert_close(
                &own.logits(states.clone()),
                &base.logits(states.clone()),
                PATHS,
            );
            assert_differs(&model.logits(states.clone()), &base.logits(states));
            let ids = ids(2, 6, base.vocab_size(), device);
            assert_same(&model.embed(ids.clone()), &base.embed(ids));
            let expected = logits(&model);
            let mut merged = model;
            drop(merge(&mut merged).expect("it acts"));
            assert_close(&logits(&merged), &expected, PATHS);
        }
    }
}
