//! Prompts of different lengths are continued together, each as it is alone.

use std::ops::ControlFlow;
use std::path::Path;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor};
use peft_model::{CausalLm, Transformer};
use peft_models::{Activation, DecoderConfig, Gpt2Config};
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PromptTuningConfig, Prompted};
use peft_store::Checkpoint;
use peft_train::{
    EncodeSpecial, GenerateConfig, ReadText, choose, generate, generate_all, generate_behind,
};

use super::data::tokenizer;
use crate::fixture::filled;
use crate::models::{spread, tiny};

peft_tests::cases!(
    a_rotary_decoder_and_one_with_windows,
    a_gpt2_with_learned_positions,
    models_with_a_prefix_and_with_a_prompt,
    a_rotation_that_changes_with_the_length,
    rows_end_each_in_its_time,
    prompts_of_any_lengths_choose_together,
);

fn config(max_new_tokens: usize) -> GenerateConfig {
    GenerateConfig {
        max_new_tokens,
        ..GenerateConfig::default()
    }
}

const PROMPTS: [&[u32]; 4] = [
    &[4, 19, 7, 2],
    &[9],
    &[1, 2, 3, 5, 8, 13, 21, 0, 11],
    &[6, 6],
];

#[track_caller]
fn check<M: CausalLm>(model: &M, config: &GenerateConfig) -> Vec<Vec<u32>> {
    let mut said = vec![Vec::new(); PROMPTS.len()];
    let on_token = |row: usize, token| said[row].push(token);
    let found = generate_all(model, &PROMPTS, config, on_token).expect("it generates");
    assert_eq!(found, said);
    for (prompt, found) in PROMPTS.iter().zip(&found) {
        let alone = generate(model, prompt, config, |_| ()).expect("it generates");
        assert_eq!(*found, alone, "behind {prompt:?}");
    }
    converses(model, config);
    found
}

/// Turn by turn, by a model that keeps what it has read, texts are what they are when all is read.
#[track_caller]
fn converses<M: CausalLm>(model: &M, config: &GenerateConfig) {
    let mut read = ReadText::default();
    let going_on = |_| ControlFlow::Continue(());
    for prompt in PROMPTS {
        let mut text = prompt.to_vec();
        for said in [&[5, 3, 8][..], &[7], &[2, 2]] {
            if text.len() > model.max_positions() {
                break;
            }
            let found = generate_behind(model, &mut read, &text, config, going_on);
            let alone = generate(model, &text, config, |_| ()).expect("it generates");
            assert_eq!(found.expect("it generates"), alone, "behind {text:?}");
            let all = [&text[..], &alone].concat();
            assert!(all.starts_with(read.tokens()) && read.tokens().len() >= text.len());
            // Of what was read, the last tokens are changed, and it goes on otherwise.
            text = all;
            text.truncate(text.len().saturating_sub(3).max(1));
            text.extend(said);
        }
    }
    let mut found = Vec::new();
    let three = |token| {
        found.push(token);
        match found.len() {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let text = generate_behind(model, &mut read, PROMPTS[0], config, three);
    let alone = generate(model, PROMPTS[0], config, |_| ()).expect("it generates");
    assert_eq!(text.expect("it generates"), alone[..3.min(alone.len())]);
    assert!(PROMPTS[0].len() <= read.tokens().len());
}

fn a_rotary_decoder_and_one_with_windows(device: &Device) {
    let model = spread(&tiny(), device);
    check(&model, &config(10));
    let drawn = GenerateConfig {
        temperature: 1.0,
        seed: 3,
        ..config(8)
    };
    check(&model, &drawn);
    // To the last position, each row to its own.
    check(&model, &config(64));
    let windowed = DecoderConfig {
        windows: vec![Some(4), None],
        ..tiny()
    };
    check(&spread(&windowed, device), &config(12));
    assert!(generate_all(&model, &[], &config(3), |_, _| ()).is_ok_and(|none| none.is_empty()));
}

fn a_gpt2_with_learned_positions(device: &Device) {
    let config_of = Gpt2Config {
        vocab_size: 23,
        d_model: 12,
        d_ff: 20,
        n_layers: 2,
        n_heads: 3,
        max_positions: 24,
        norm_epsilon: 1e-5,
        activation: Activation::GeluTanh,
        scale_scores: true,
        scale_by_layer: false,
        tie_word_embeddings: false,
    };
    check(&filled(config_of.init(device)), &config(64));
}

fn models_with_a_prefix_and_with_a_prompt(device: &Device) {
    let mut model = Prompted::new(Prefixed::new(spread(&tiny(), device)));
    let bare = check(&model, &config(9));
    let prefix = PrefixConfig::new(3);
    prefix.attach(&mut model.model, "a").expect("it attaches");
    let input = model.model.input.take().expect("it was attached");
    model.model.input = Some(filled(input));
    let prefixed = check(&model, &config(9));
    let prompt = PromptTuningConfig::new(2);
    prompt.attach(&mut model, "a").expect("it attaches");
    model.input = model.input.map(filled);
    let both = check(&model, &config(64));
    model.model.input = None;
    let prompted = check(&model, &config(9));
    assert!(bare != prefixed && prefixed != prompted && both[0][..9] != prompted[0][..]);
}

/// Beyond 16 positions all keys turn anew; the rows get there one by one.
fn a_rotation_that_changes_with_the_length(device: &Device) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/models/phi3_longrope");
    let checkpoint = Checkpoint::open(&dir).expect("it opens");
    let model = checkpoint.load(device, DType::F32).expect("it loads");
    check(&model, &config(14));
}

/// Texts that end are told by their tokens, and the others go on.
fn rows_end_each_in_its_time(device: &Device) {
    let model = spread(&tiny(), device).valid();
    let free = check(&model, &config(10));
    let ends: Vec<u32> = free
        .iter()
        .enumerate()
        .map(|(row, text)| text[1 + 2 * row])
        .collect();
    for eos in ends {
        let until = GenerateConfig {
            eos: vec![eos],
            ..config(10)
        };
        let found = check(&model, &until);
        assert!(found.iter().any(|text| text.len() < 10));
    }
}

/// The likeliest option by its definition, whatever else is in the batch, in a model with windows.
fn prompts_of_any_lengths_choose_together(device: &Device) {
    let windowed = DecoderConfig {
        windows: vec![Some(4), None],
        ..tiny()
    };
    let model = spread(&windowed, device);
    let prompts = ["a b", "c", "d e f a b c d", "f f f", "e a e"].map(str::to_owned);
    let options = [" a", " b c e", " e e"].map(str::to_owned);
    let tokenizer = tokenizer("");
    let likelihood = |prompt: &str, option: &str| {
        let ids = |text: &str| {
            tokenizer
                .encode(text, EncodeSpecial::Begin)
                .expect("it encodes")
        };
        let (given, whole) = (ids(prompt), ids(&format!("{prompt}{option}")));
        let row: Vec<i64> = whole.iter().map(|id| i64::from(*id)).collect();
        let row = Tensor::<1, Int>::from_data(row.as_slice(), (device, DType::I64)).unsqueeze();
        let scores = log_softmax(model.logits(model.hidden(row, None, None)), 2);
        let scores: Vec<f32> = scores.into_data().iter().collect();
        let of = |i: usize| scores[(i - 1) * windowed.vocab_size + whole[i] as usize];
        (given.len()..whole.len()).map(of).sum::<f32>()
    };
    let expected: Vec<usize> = prompts
        .iter()
        .map(|prompt| {
            let scores: Vec<f32> = options.iter().map(|o| likelihood(prompt, o)).collect();
            let best = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]);
            (0..options.len()).max_by(best).expect("an option")
        })
        .collect();
    for batch_size in 1..=prompts.len() {
        let prompts = prompts.iter().cloned().map(Ok);
        let found = choose(&model, &tokenizer, prompts, &options, batch_size);
        assert_eq!(
            found.expect("it chooses"),
            expected,
            "{batch_size} together"
        );
    }
}
