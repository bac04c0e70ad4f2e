//! Chosen rows of an embedding that train, alone and beside LoRA; an output layer that is tied to
//! it has them too.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{
    ForwardPath, PeftError, Placed, Summary, Targets, TokenChoice, TokenRows, TokenRowsConfig,
    merge, route, slots,
};
use peft_lora::LoraConfig;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, write_checkpoint};
use peft_tests::tolerance::PATHS;

use crate::fixture::{assert_close, assert_differs, assert_same, filled_adapters, params};
use crate::models::ids;

peft_tests::cases!(
    a_fresh_one_does_nothing_and_trains_its_rows_alone,
    a_tied_output_layer_has_the_rows_and_stays_tied,
    paths_agree,
    a_larger_vocabulary_scores_the_old_one_as_before,
    what_cannot_be_is_named,
);

const TOKENS: [u32; 3] = [5, 2, 40];

fn base(name: &str, device: &Device) -> (Checkpoint, LanguageModel) {
    let goldens: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    let checkpoint = Checkpoint::open(goldens.join("models").join(name)).expect("it opens");
    let model = checkpoint.load(device, DType::F32).expect("it loads");
    (checkpoint, model)
}

fn rows(model: &LanguageModel, path: ForwardPath) -> TokenRowsConfig {
    TokenRowsConfig::new(TOKENS, model.embedding_path()).with_path(path)
}

fn adapted(model: &LanguageModel, path: ForwardPath) -> LanguageModel {
    let mut model = model.clone();
    let config = rows(&model, path);
    config.attach(&mut model, "default").expect("it attaches");
    model
}

fn states(model: &LanguageModel, device: &Device) -> Tensor<3> {
    model.hidden(ids(2, 7, model.vocab_size(), device), None, None)
}

fn logits(model: &LanguageModel, device: &Device) -> Tensor<3> {
    model.logits(states(model, device))
}

fn a_fresh_one_does_nothing_and_trains_its_rows_alone(device: &Device) {
    for name in ["gqa", "tied", "gpt2"] {
        let (_, base) = base(name, device);
        let fresh = adapted(&base, ForwardPath::Factored);
        assert_same(&logits(&fresh, device), &logits(&base, device));
        let summary = Summary::of(&fresh);
        assert_eq!(summary.trainable, TOKENS.len() * base.d_model(), "{name}");
    }
}

fn a_tied_output_layer_has_the_rows_and_stays_tied(device: &Device) {
    for name in ["tied", "gpt2"] {
        let (checkpoint, base) = base(name, device);
        let model = filled_adapters(adapted(&base, ForwardPath::Factored));
        // Of the same states only the scores of these tokens are others.
        let states = states(&base, device);
        let (before, after) = (base.logits(states.clone()), model.logits(states));
        for token in 0..base.vocab_size() {
            let of = |scores: &Tensor<3>| scores.clone().narrow(2, token, 1);
            match TOKENS.contains(&(token as u32)) {
                true => assert_differs(&of(&before), &of(&after)),
                false => assert_same(&of(&before), &of(&after)),
            }
        }
        let expected = logits(&model, device);
        let mut merged = model.untie_if_adapted();
        drop(merge(&mut merged).expect("it acts"));
        assert!(merged.config().has_tied_head(), "{name}");
        assert_close(&logits(&merged, device), &expected, PATHS);

        let dir = tempfile::tempdir().expect("a directory");
        let fields = checkpoint.fields_of(&merged);
        write_checkpoint(&merged, &fields, None, DType::F32, dir.path()).expect("written");
        let read = Checkpoint::open(dir.path()).expect("it opens");
        let read = read.load(device, DType::F32).expect("it loads");
        assert!(!params(&read).contains_key("lm_head.weight"), "{name}");
        assert_same(&logits(&read, device), &logits(&merged, device));
    }
}

fn paths_agree(device: &Device) {
    let (_, base) = base("gqa", device);
    let filled = |path| filled_adapters(adapted(&base, path));
    let [factored, dense] = [ForwardPath::Factored, ForwardPath::Weight].map(filled);
    assert_close(&logits(&dense, device), &logits(&factored, device), PATHS);
    // Beside LoRA they are the same.
    let mut both = base.clone();
    let mut lora = LoraConfig::new(2, 4.0)
        .with_targets(Targets::suffixes(["q_proj"]))
        .with_path(ForwardPath::Factored);
    lora.placement.token_rows = Some(TokenChoice::new(TOKENS));
    lora.attach(&mut both, "default").expect("it attaches");
    let own = slots(&both).into_iter();
    let mut own = own.filter(|(_, slot)| slot.get::<TokenRows>("default").is_some());
    let (path, slot) = own.next().expect("the embedding's");
    assert_eq!(path, "model.embed_tokens.weight");
    let rows = slot.get::<TokenRows>("default").expect("rows");
    assert_eq!(rows.tokens(), TOKENS);
    assert_same(&logits(&both, device), &logits(&base, device));
}

fn a_larger_vocabulary_scores_the_old_one_as_before(device: &Device) {
    for name in ["gqa", "tied", "gpt2"] {
        let (_, base) = base(name, device);
        let (size, of) = (base.vocab_size(), [vec![], vec![3, 5]]);
        // Behind all, and in the place of the last one.
        for first in [size, size - 1] {
            let grown = base.clone().with_tokens(first, &of);
            assert_eq!(grown.vocab_size(), first + 2, "{name}");
            assert_eq!(
                grown.config().has_tied_head(),
                base.config().has_tied_head()
            );
            let known = |scores: Tensor<3>| scores.narrow(2, 0, first);
            let states = states(&base, device);
            let scores = grown.logits(states.clone());
            let before = base.logits(states);
            assert_same(&known(scores.clone()), &known(before.clone()));
            // A row that is a mean scores the mean.
            let of = |token: usize| before.clone().narrow(2, token, 1);
            let text = (of(3) + of(5)).div_scalar(2.0);
            assert_close(&scores.clone().narrow(2, first + 1, 1), &text, PATHS);
            let all = known(before.clone()).mean_dim(2);
            assert_close(&scores.narrow(2, first, 1), &all, PATHS);
            // And is read as the mean.
            let embedded = |token: i32| {
                let ids = TensorData::new(vec![token], [1, 1]);
                grown.stages().embed(Tensor::from_data(ids, device))
            };
            let text = (embedded(3) + embedded(5)).div_scalar(2.0);
            assert_close(&embedded(first as i32 + 1), &text, PATHS);
        }
    }
}

fn what_cannot_be_is_named(device: &Device) {
    let (_, base) = base("gqa", device);
    let message = |tokens: &[u32], targets: &[&str]| {
        let mut lora = LoraConfig::new(2, 4.0)
            .with_targets(Targets::suffixes(targets.iter().copied()))
            .with_path(ForwardPath::Factored);
        lora.placement.token_rows = Some(TokenChoice::new(tokens.iter().copied()));
        let mut model = base.clone();
        let error = lora.attach(&mut model, "default").expect_err("an error");
        assert!(slots(&model).is_empty());
        error.to_string()
    };
    let beyond = message(&[3, 96], &["q_proj"]);
    assert!(beyond.contains("96, and there are 96 rows"), "{beyond}");
    assert!(message(&[3, 5, 3], &["q_proj"]).contains("3, twice"));
    assert!(message(&[], &["q_proj"]).contains("not given"));
    let twice = message(&[3], &["q_proj", "embed_tokens"]);
    assert!(twice.contains("embed_tokens"), "{twice}");
    let mut model = adapted(&base, ForwardPath::Factored);
    let error = route(&mut model, &[Some("default"), None]).expect_err("an error");
    assert!(matches!(error, PeftError::InvalidSetting { .. }), "{error}");
}
