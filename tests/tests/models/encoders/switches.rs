//! Dropout, refused configs, and what the constructors promise.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use peft_model::{KvCache, Pass};
use peft_models::{
    BertConfig, BertForSequenceClassification, BertForTokenClassification, DistilBertConfig,
    DistilBertForSequenceClassification, DistilBertForTokenClassification, ModelConfigError,
    ModernBertConfig, ModernBertForSequenceClassification, ModernBertForTokenClassification,
    RobertaForSequenceClassification, RobertaForTokenClassification, SequenceClassifier,
    TokenClassifier, Transformer,
};

use peft_ptuning::{PromptTuningConfig, Prompted};
use peft_train::{ClassExample, Objective, SequenceClassification, Target};

use super::{bert, distilbert, modernbert, roberta, spread};
use crate::models::{assert_close, ids};

peft_tests::cases!(
    dropout_acts_while_training_only,
    token_types_change_the_states,
    a_pair_is_told_by_its_types,
);

fn class_logits<M: SequenceClassifier>(model: &M, device: &Device) -> Tensor<3> {
    let hidden = model.hidden(ids(2, 6, 23, device), None, None);
    model.class_logits(hidden, None).unsqueeze()
}

fn token_logits<M: TokenClassifier>(model: &M, device: &Device) -> Tensor<3> {
    model.token_logits(model.hidden(ids(2, 6, 23, device), None, None))
}

/// Two forwards while training differ if and only if `drops`; those of `valid` are the same as
/// without dropout.
fn check<M: Module>(
    model: M,
    of: fn(&M, &Device) -> Tensor<3>,
    drops: bool,
    what: &str,
    device: &Device,
) {
    let model = spread(model);
    let training = device.clone().autodiff();
    let [a, b] = [0, 1].map(|_| of(&model, &training).into_data());
    assert_eq!(a != b, drops, "{what}");
    let valid = model.valid();
    let [c, d] = [0, 1].map(|_| of(&valid, device).into_data());
    assert_eq!(c, d, "{what}");
    assert!(!drops || a != c, "{what}");
}

fn dropout_acts_while_training_only(device: &Device) {
    let training = &device.clone().autodiff();
    type Edit<C> = (&'static str, fn(&mut C), [bool; 2]);
    let berts: [Edit<BertConfig>; 4] = [
        ("none", |_| {}, [false, false]),
        ("hidden", |c| c.hidden_dropout = 0.3, [true, true]),
        ("attention", |c| c.attention_dropout = 0.3, [true, true]),
        ("classifier", |c| c.classifier_dropout = 0.3, [true, true]),
    ];
    for (what, edit, [sequence, token]) in berts {
        let (mut b, mut r) = (bert(), roberta());
        edit(&mut b);
        edit(&mut r);
        let model = BertForSequenceClassification::new(&b, 3, training);
        check(model, class_logits, sequence, what, device);
        let model = BertForTokenClassification::new(&b, 3, training);
        check(model, token_logits, token, what, device);
        let model = RobertaForSequenceClassification::new(&r, 3, training);
        check(model, class_logits, sequence, what, device);
        let model = RobertaForTokenClassification::new(&r, 3, training);
        check(model, token_logits, token, what, device);
    }
    let distilberts: [Edit<DistilBertConfig>; 4] = [
        ("none", |_| {}, [false, false]),
        ("hidden", |c| c.hidden_dropout = 0.3, [true, true]),
        ("attention", |c| c.attention_dropout = 0.3, [true, true]),
        ("classifier", |c| c.classifier_dropout = 0.3, [true, false]),
    ];
    for (what, edit, [sequence, token]) in distilberts {
        let mut config = distilbert();
        edit(&mut config);
        let model = DistilBertForSequenceClassification::new(&config, 3, training);
        check(model, class_logits, sequence, what, device);
        let model = DistilBertForTokenClassification::new(&config, 3, training);
        check(model, token_logits, token, what, device);
    }
    let modernberts: [Edit<ModernBertConfig>; 5] = [
        ("none", |_| {}, [false, false]),
        ("embedding", |c| c.embedding_dropout = 0.3, [true, true]),
        ("attention", |c| c.attention_dropout = 0.3, [true, true]),
        ("mlp", |c| c.mlp_dropout = 0.3, [true, true]),
        ("classifier", |c| c.classifier_dropout = 0.3, [true, true]),
    ];
    for (what, edit, [sequence, token]) in modernberts {
        let mut config = modernbert();
        edit(&mut config);
        let model = ModernBertForSequenceClassification::new(&config, 3, training);
        check(model, class_logits, sequence, what, device);
        let model = ModernBertForTokenClassification::new(&config, 3, training);
        check(model, token_logits, token, what, device);
    }
}

fn token_types_change_the_states(device: &Device) {
    let model = spread(bert().init(device));
    let embeds = || model.embed(ids(2, 5, 23, device));
    let of = |pass| {
        let context = model.context([2, 5], pass, None, device);
        model.stages().begin(embeds(), &context)
    };
    let typed = |value: i64| {
        let types = Tensor::zeros([2, 5], device) + value;
        of(Pass::default().typed(Some(types)))
    };
    let begun = of(Pass::default());
    assert_close(&typed(0), &begun, 0.0);
    let apart = (typed(1) - typed(0)).abs().max();
    assert!(apart.into_scalar::<f32>() > 1e-3);
}

/// The second text of a pair is of type 1, also behind a prompt, whose positions are of type 0; a
/// model without types reads the tokens alone.
fn a_pair_is_told_by_its_types(device: &Device) {
    let row = |types: &[u32]| ClassExample {
        ids: vec![2, 5, 9, 3, 7, 8, 3],
        types: types.to_vec(),
        target: Target::Class(1),
    };
    let rows = [
        row(&[]),
        row(&[0; 7]),
        row(&[0, 0, 0, 0, 1, 1, 1]),
        row(&[1, 1, 1, 1, 0, 0, 0]),
    ];
    fn losses<M: SequenceClassifier>(
        model: &M,
        rows: &[ClassExample],
        device: &Device,
    ) -> Vec<f32> {
        let one = SequenceClassification::default();
        let of = |row| one.loss_sum(model, &[row], device).into_scalar::<f32>();
        let alone: Vec<f32> = rows.iter().map(of).collect();
        // In one batch, some of whose rows have no types.
        let rows: Vec<&ClassExample> = rows.iter().collect();
        let sum = one.loss_sum(model, &rows, device).into_scalar::<f32>();
        assert!((sum - alone.iter().sum::<f32>()).abs() < 1e-4);
        alone
    }
    let model = spread(BertForSequenceClassification::new(&bert(), 3, device));
    let apart = |found: &[f32]| {
        assert_eq!(found[0], found[1]);
        assert!((found[0] - found[2]).abs() > 1e-4, "{found:?}");
        assert!((found[3] - found[2]).abs() > 1e-4, "{found:?}");
    };
    let bare = losses(&model, &rows, device);
    apart(&bare);
    let mut prompted = Prompted::new(model);
    let prompt = PromptTuningConfig::new(3);
    prompt.attach(&mut prompted, "p").expect("it attaches");
    let found = losses(&prompted, &rows, device);
    apart(&found);
    assert!((found[2] - bare[2]).abs() > 1e-5);
    let model = spread(DistilBertForSequenceClassification::new(
        &distilbert(),
        3,
        device,
    ));
    let found = losses(&model, &rows, device);
    assert!(found.iter().all(|loss| *loss == found[0]), "{found:?}");
}

#[test]
#[cfg(feature = "flex")]
#[should_panic(expected = "17 positions, but the model has 16")]
fn more_positions_than_there_are_is_said() {
    let device = &peft_tests::device("flex");
    let model = roberta().init(device);
    let given = Tensor::zeros([1, 2, 14, 6], device);
    let cache = KvCache::from_layers(vec![(given.clone(), given); 2]);
    let context = model.context([1, 3], Pass::default(), Some(&cache), device);
    let embeds = Tensor::zeros([1, 3, 12], device);
    model.stages().begin(embeds, &context);
}

#[test]
fn configs_that_make_no_model_are_refused() {
    fn error(result: Result<(), ModelConfigError>) -> String {
        result.expect_err("it must be refused").to_string()
    }
    assert_eq!(bert().validate(), Ok(()));
    assert_eq!(roberta().validate(), Ok(()));
    assert_eq!(distilbert().validate(), Ok(()));
    assert_eq!(modernbert().validate(), Ok(()));
    type Case<C> = (fn(&mut C), &'static str);
    let berts: [Case<BertConfig>; 8] = [
        (|c| c.vocab_size = 0, "vocab_size is 0"),
        (|c| c.n_layers = 5000, "n_layers is 5000"),
        (|c| c.n_heads = 0, "n_heads is 0"),
        (|c| c.n_heads = 5, "n_heads is 5, but must be a divisor"),
        (|c| c.max_positions = 1 << 40, "max_positions is"),
        (|c| c.position_offset = usize::MAX, "position_offset is"),
        (|c| c.norm_epsilon = f64::NAN, "norm_epsilon is NaN"),
        (
            |c| c.hidden_dropout = 1.0,
            "hidden_dropout is 1, but must be at least 0 and below 1",
        ),
    ];
    for (edit, expected) in berts {
        let mut config = bert();
        edit(&mut config);
        let found = error(config.validate());
        assert!(found.contains(expected), "{found}, expected {expected}");
    }
    let mut config = distilbert();
    config.attention_dropout = -0.1;
    assert!(error(config.validate()).starts_with("attention_dropout is -0.1"));
    let modernberts: [Case<ModernBertConfig>; 4] = [
        (|c| c.windowed.clear(), "n_layers is 0"),
        (
            |c| c.n_heads = 4,
            "rotated features of a head is 3, but must be even",
        ),
        (|c| c.local_rope.theta = 0.0, "rope.theta is 0"),
        (|c| c.mlp_dropout = f64::NAN, "mlp_dropout is NaN"),
    ];
    for (edit, expected) in modernberts {
        let mut config = modernbert();
        edit(&mut config);
        let found = error(config.validate());
        assert!(found.contains(expected), "{found}, expected {expected}");
    }
}
