//! What a prompt starts from, what attaching it reports and freezes, and what is refused.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Tensor};
use peft_core::{AttachReport, ForwardPath, PeftError, Placed, Targets, detach, layers};
use peft_lora::LoraConfig;
use peft_models::{DecoderForCausalLm, LanguageModel, Transformer};
use peft_ptuning::{
    PTuningConfig, PromptEncoderConfig, PromptInit, PromptTuningConfig, Prompted, SoftPrompt,
};
use peft_store::Checkpoint;

use super::{D_MODEL, N, NAME, VOCABULARY, encoded, p_tuning, plain, prompted};
use crate::encoder_adapters::goldens;
use crate::fixture::{assert_same, params, trained};
use crate::models::ids;

peft_tests::cases!(
    a_text_is_cut_or_repeated,
    an_embedding_is_what_the_model_gives,
    sampled_vectors_are_rows_of_the_table,
    random_vectors_are_as_long_as_embeddings,
    attaching_freezes_all_but_the_prompt,
    modules_to_save_train_whole,
    weights_and_prompt_train_together,
    what_cannot_be_is_refused,
    a_record_restores_it,
    it_moves_and_leaves_training_with_the_model,
);

/// The vectors that a prompt starts as.
fn started<M: Transformer>(mut model: Prompted<M>, n: usize, init: PromptInit) -> Tensor<2> {
    let config = PromptTuningConfig::new(n).with_init(init);
    config.attach(&mut model, NAME).expect("it attaches");
    model.valid().input.expect("a prompt").vectors()
}

fn table(model: &Prompted<DecoderForCausalLm>) -> Tensor<2> {
    model.valid().model.model.embed_tokens.weight.val()
}

fn a_text_is_cut_or_repeated(device: &Device) {
    let text = PromptInit::Tokens(vec![4, 9, 2]);
    let table = table(&plain(device));
    for expected in [&[4, 9][..], &[4, 9, 2], &[4, 9, 2, 4, 9, 2, 4]] {
        let rows = expected.iter().map(|id| table.clone().narrow(0, *id, 1));
        let found = started(plain(device), expected.len(), text.clone());
        assert_same(&found, &Tensor::cat(rows.collect(), 0));
    }
}

fn decoder(name: &str, dtype: DType, device: &Device) -> Prompted<LanguageModel> {
    let dir = goldens().join("models").join(name);
    let loaded = Checkpoint::open(dir).and_then(|checkpoint| checkpoint.load(device, dtype));
    Prompted::new(loaded.expect("it loads"))
}

/// Gemma's embeddings are scaled; a prompt stands beside them as they are then.
fn an_embedding_is_what_the_model_gives(device: &Device) {
    let model = decoder("gemma2", DType::F32, device);
    let row = model.embed(Tensor::from_data([[7]], device));
    let LanguageModel::Decoder(inner) = &model.model else {
        panic!("a decoder");
    };
    let stored = inner.model.embed_tokens.weight.val().narrow(0, 7, 1);
    let scale = (inner.d_model() as f64).sqrt();
    let found = started(model, 1, PromptInit::Tokens(vec![7]));
    assert_same(&found, &row.squeeze_dim(0));
    crate::fixture::assert_close(&found, &(stored * scale), 1e-5);
}

fn sampled_vectors_are_rows_of_the_table(device: &Device) {
    let table: Vec<f32> = table(&plain(device)).into_data().iter::<f32>().collect();
    let found = started(plain(device), 31, PromptInit::Vocabulary).into_data();
    let mut seen = Vec::new();
    for row in found.iter::<f32>().collect::<Vec<_>>().chunks(D_MODEL) {
        let at = table.chunks(D_MODEL).position(|known| known == row);
        seen.push(at.expect("a row of the table"));
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 8, "only {} tokens", seen.len());
}

fn random_vectors_are_as_long_as_embeddings(device: &Device) {
    let mut model = plain(device);
    // Embeddings as small as those of real models: N(0, 1) would show.
    let weight = model.model.model.embed_tokens.weight.clone();
    model.model.model.embed_tokens.weight = weight.map(|weight| weight * 0.1);
    let spread = |x: Tensor<2>| {
        let x: Vec<f32> = x.into_data().iter::<f32>().collect();
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        (x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / x.len() as f32).sqrt()
    };
    let expected = spread(table(&model));
    assert!((0.02..0.04).contains(&expected), "{expected}");
    let ratio = spread(started(model, 30, PromptInit::Random)) / expected;
    assert!((0.8..1.2).contains(&ratio), "{ratio}");
}

fn attaching_freezes_all_but_the_prompt(device: &Device) {
    assert_eq!(trained(&prompted(device)), ["prompt.inputs"]);
    let trains = trained(&encoded(PromptEncoderConfig::LSTM, device));
    assert!(trains.iter().all(|path| path.starts_with("prompt.")));
    // The inputs; four gates of two matrices and two biases in two directions of two layers; two
    // linear layers.
    assert_eq!(trains.len(), 1 + 4 * 4 * 2 * 2 + 4);
    let mut model = plain(device);
    let config = PTuningConfig::new(N).with_hidden(5);
    let report: AttachReport = config.attach(&mut model, NAME).expect("it attaches");
    let expected = N * D_MODEL + (12 * 5 + 5) + (5 * 5 + 5) + (5 * 12 + 12);
    assert_eq!(report.summary.trainable, expected);
    assert!(report.layers.is_empty() && report.active);
    assert_eq!(report.method, "p-tuning");
}

fn modules_to_save_train_whole(device: &Device) {
    let mut model = plain(device);
    let before = params(&model.model);
    let config = PromptTuningConfig::new(N).with_whole_modules(["model.norm"]);
    let report = config.attach(&mut model, NAME).expect("it attaches");
    assert_eq!(report.trained_whole, ["model.norm.weight"]);
    let copy = "model.norm.weight.adapters.default.value";
    assert_eq!(trained(&model), [copy, "prompt.inputs"]);
    assert_eq!(params(&model)[copy].data, before["model.norm.weight"].data);
    detach(&mut model, NAME).expect("it detaches");
    model.input = None;
    assert!(trained(&model).is_empty());
    peft_tests::Invariant::Beside.verified("prompt tuning", device);
}

fn weights_and_prompt_train_together(device: &Device) {
    let lora = LoraConfig::new(2, 4.0)
        .with_targets(Targets::all_linear())
        .with_path(ForwardPath::Factored);
    let prompt = PTuningConfig::new(N).with_hidden(5);
    let mut first = plain(device);
    lora.attach(&mut first, "lora").expect("it attaches");
    prompt.attach(&mut first, NAME).expect("it attaches");
    let mut last = plain(device);
    prompt.attach(&mut last, NAME).expect("it attaches");
    // Layers of the prompt's encoder are none of the model's.
    assert_eq!(layers(&last).len(), layers(&last.model).len());
    lora.attach(&mut last, "lora").expect("it attaches");
    let trains = trained(&first);
    assert_eq!(trains, trained(&last));
    let of_prompt = trains.iter().filter(|path| path.starts_with("prompt."));
    assert_eq!(of_prompt.count(), 7);
    let factors = trains.iter().filter(|path| path.ends_with("lora_a"));
    assert_eq!(factors.count(), layers(&last).len() - 1); // all but the embedding
    peft_tests::Invariant::SecondTrains.verified("p-tuning", device);
}

type Attach<'a> = &'a dyn Fn(&mut Prompted<DecoderForCausalLm>) -> Option<PeftError>;

/// What is said, and the model is as it was.
fn refused(mut model: Prompted<DecoderForCausalLm>, attach: Attach<'_>) -> String {
    let before = (params(&model), trained(&model));
    let error = attach(&mut model).expect("it is refused");
    assert_eq!((params(&model), trained(&model)), before);
    error.to_string()
}

fn what_cannot_be_is_refused(device: &Device) {
    let tuning = |n, init| {
        let config = PromptTuningConfig::new(n).with_init(init);
        refused(plain(device), &|model| config.attach(model, NAME).err())
    };
    let encoder =
        |config: PTuningConfig| refused(plain(device), &|model| config.attach(model, NAME).err());
    let lstm = |n_layers, dropout| {
        let lstm = PromptEncoderConfig::Lstm { n_layers, dropout };
        encoder(PTuningConfig::new(2).with_encoder(lstm))
    };
    let random = PromptInit::Random;
    let unknown = PromptInit::Tokens(vec![4, 23]);
    let empty = PromptInit::Tokens(Vec::new());
    let head = PTuningConfig::new(2).with_whole_modules(["nrom"]);
    let again = PromptTuningConfig::new(2);
    let twice = refused(prompted(device), &|model| again.attach(model, NAME).err());
    let narrow = refused(plain(device), &|model| {
        let prompt = SoftPrompt::new(Tensor::zeros([2, 7], device));
        prompt.attach(model, NAME, &[], "prompt-tuning", 32).err()
    });
    for (said, expected) in [
        (tuning(0, random.clone()), "is 0, but must be at least 1"),
        (
            tuning(32, random.clone()),
            "32, of the model's 32 positions",
        ),
        (tuning(usize::MAX, random), "of the model's 32 positions"),
        (tuning(2, unknown), "token 23, of a vocabulary of 23"),
        (tuning(2, empty), "at least one token"),
        (
            encoder(PTuningConfig::new(0)),
            "is 0, but must be at least 1",
        ),
        (
            encoder(PTuningConfig::new(40)),
            "of the model's 32 positions",
        ),
        (
            encoder(PTuningConfig::new(2).with_hidden(0)),
            "hidden width is 0",
        ),
        (lstm(0, 0.0), "number of layers is 0"),
        (lstm(2, 1.0), "dropout is 1"),
        (lstm(2, f64::NAN), "dropout is NaN"),
        (encoder(head), "did you mean"),
        (twice, "has a soft prompt already"),
        (narrow, "7, beside embeddings of 12"),
    ] {
        assert!(said.contains(expected), "{said}");
    }
    peft_tests::Invariant::Duplicate.verified("prompt tuning", device);
    peft_tests::Invariant::Refused.verified("prompt tuning", device);
    peft_tests::Invariant::Refused.verified("p-tuning", device);
}

#[test]
#[cfg(feature = "flex")]
fn a_prompt_is_f32_whatever_the_model() {
    let device = peft_tests::device("flex").autodiff();
    let mut model = decoder("gqa", DType::BF16, &device);
    let config = PTuningConfig::new(N);
    config.attach(&mut model, NAME).expect("it attaches");
    let prompt = model.input.as_ref().expect("a prompt");
    for (path, seen) in params(prompt) {
        assert_eq!(seen.data.dtype(), DType::F32, "{path}");
    }
    let hidden = model.hidden(ids(2, 5, VOCABULARY, &device), None, None);
    assert_eq!(hidden.dtype(), DType::F32);
    let grads = hidden.sum().backward();
    let gradient = prompt.inputs.val().grad(&grads).expect("a gradient");
    assert_eq!(gradient.dtype(), DType::F32);
    peft_tests::Invariant::HalfPrecision.verified("p-tuning", &device);
}

fn a_record_restores_it(device: &Device) {
    for encoder in [PromptEncoderConfig::Mlp, PromptEncoderConfig::LSTM] {
        let source = encoded(encoder, device);
        let bytes = source.clone().into_record().into_bytes().expect("written");
        let record = ModuleRecord::from_bytes(bytes).expect("read");
        let mut target = plain(device);
        let config = p_tuning(encoder);
        config.attach(&mut target, NAME).expect("it attaches");
        assert_ne!(params(&target), params(&source));
        let target = target.load_record(record);
        assert_eq!(params(&target), params(&source));
        // What has no prompt is not taken for one that has.
        assert!(source.try_load_record(plain(device).into_record()).is_err());
    }
    peft_tests::Invariant::Record.verified("p-tuning", device);
}

fn it_moves_and_leaves_training_with_the_model(device: &Device) {
    let model = encoded(PromptEncoderConfig::LSTM, device);
    let of_prompt = model.num_params() - model.model.num_params();
    assert_eq!(
        of_prompt,
        model.input.as_ref().expect("a prompt").num_params()
    );
    let valid = model.valid();
    let still = |model: &Prompted<DecoderForCausalLm>| {
        let prompt = model.input.as_ref().expect("a prompt");
        prompt.inputs.val().is_autodiff()
    };
    assert!(still(&model) && !still(&valid));
    let training = device.clone().autodiff();
    let forked = model.clone().fork(&training);
    assert_eq!(params(&forked), params(&model));
    assert_eq!(trained(&valid.clone().train()), trained(&model));
    let text = ids(2, 4, VOCABULARY, device);
    let found = valid.hidden(text, None, None).into_data();
    let text = ids(2, 4, VOCABULARY, &training);
    assert_eq!(found, model.hidden(text, None, None).into_data());
    peft_tests::Invariant::Moves.verified("p-tuning", device);
}
