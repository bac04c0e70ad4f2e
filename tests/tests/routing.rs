//! Rows of one batch that go through different adapters, on whole models: each row is compared with
//! a run of that row alone, unpadded, on which its adapter acts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Int, Tensor, s};
use peft_core::{
    Adapter, AttachReport, ForwardPath, FrozenLinear, FrozenWeight, LayerInput, LayerKind, Names,
    PeftError, Placed, Placement, Targets, TrainBias, attach, linear, route, set_active, unroute,
};
use peft_ia3::Ia3Config;
use peft_lora::{LoraConfig, LoraScaling};
use peft_model::{CausalLm, SequenceClassifier, Transformer, select_positions};
use peft_models::{
    BertForSequenceClassification, DistilBertForSequenceClassification, LanguageModel,
    ModernBertForSequenceClassification,
};
use peft_store::Checkpoint;
use peft_tests::tolerance::PATHS;

use crate::fixture::{assert_close, assert_differs, filled, filled_adapters, values};
use crate::models::{encoders, ids, padding, spread, tiny};

peft_tests::cases!(
    rows_of_a_decoder_choose,
    rows_of_gpt2_choose_their_positions_too,
    rows_of_classifiers_choose,
    a_layer_whose_first_axis_is_not_the_rows_refuses,
    the_product_with_the_base_is_shared,
);

const ROWS: [Option<&str>; 6] = [
    Some("ia3"),
    None,
    Some("wide"),
    Some("lora"),
    Some("ia3"),
    Some("lora"),
];
const LENGTHS: [usize; 6] = [4, 7, 1, 7, 6, 3];

fn attached(report: Result<AttachReport, PeftError>) {
    report.expect("it attaches");
}

/// `model` with `name` acting alone, or nothing.
fn only<M: Module>(model: &M, name: Option<&str>) -> M {
    let mut model = model.clone();
    let active: Vec<(&str, f64)> = name.map(|name| (name, 1.0)).into_iter().collect();
    set_active(&mut model, &active).expect("it exists");
    model
}

fn routed<M: Module>(model: &M) -> M {
    let mut model = model.clone();
    route(&mut model, &ROWS).expect("all exist");
    model
}

/// LoRA with biases on linear layers and `embeddings`, rsLoRA of another rank with copies of
/// `whole`, and IA3 on `ia3`, of which `inputs` are rescaled.
fn three<M: Module>(
    mut model: M,
    embeddings: &str,
    whole: &[&str],
    ia3: &[&str],
    inputs: &[&str],
) -> M {
    let path = ForwardPath::Factored;
    let targets = format!(r".*({embeddings}|proj|lin\d?|dense|query|value|c_attn|c_fc|Wqkv|Wi)");
    let lora = LoraConfig::new(2, 3.0)
        .with_targets(Targets::regex(&targets))
        .with_train_bias(TrainBias::All)
        .with_path(path);
    attached(lora.attach(&mut model, "lora"));
    let wide = LoraConfig::new(3, 2.0)
        .with_scaling(LoraScaling::RankStabilised)
        .with_targets(Targets::suffixes(ia3[..1].iter().copied()))
        .with_whole_modules(whole.iter().copied())
        .with_path(path);
    attached(wide.attach(&mut model, "wide"));
    let ia3 = Ia3Config::new(Targets::suffixes(ia3.iter().copied()))
        .with_feedforward(Names::suffixes(inputs.iter().copied()))
        .with_path(path);
    attached(ia3.attach(&mut model, "ia3"));
    filled_adapters(model)
}

/// Logits of a batch, its padding behind each row.
fn logits<M: CausalLm>(
    model: &M,
    ids: &Tensor<2, Int>,
    segments: Option<Tensor<2, Int>>,
) -> Tensor<3> {
    model.logits(model.hidden(ids.clone(), segments, None))
}

/// What every row of `together` is to be: the logits of the row alone.
fn rows_are_their_own<M: CausalLm>(model: &M, ids: &Tensor<2, Int>, together: &Tensor<3>) {
    let base = logits(&only(model, None), ids, None);
    for (row, (name, length)) in ROWS.into_iter().zip(LENGTHS).enumerate() {
        let of_row = ids.clone().slice(s![row..row + 1, 0..length]);
        let alone = logits(&only(model, name), &of_row, None);
        assert_close(
            &together.clone().slice(s![row..row + 1, 0..length]),
            &alone,
            PATHS,
        );
        if name.is_some() {
            assert_differs(&alone, &base.clone().slice(s![row..row + 1, 0..length]));
        }
    }
}

fn rows_of_a_decoder_choose(device: &Device) {
    let whole = ["lm_head", "model.norm", "0.input_layernorm"];
    let ia3 = ["v_proj", "k_proj", "down_proj"];
    let model = three(
        spread(&tiny(), device),
        "embed_tokens",
        &whole,
        &ia3,
        &ia3[2..],
    );
    let ids = ids(ROWS.len(), 7, 23, device);
    let segments = padding(&LENGTHS, 7, device);
    let mut mixed = routed(&model);
    let together = logits(&mixed, &ids, Some(segments.clone()));
    rows_are_their_own(&model, &ids, &together);

    // Positions that a head reads, and the same in two parts with a cache.
    let at: Vec<i64> = LENGTHS.iter().map(|length| *length as i64 - 1).collect();
    let at: Tensor<2, Int> = Tensor::<1, Int>::from_data(at.as_slice(), device).reshape([6, 1]);
    let read = mixed.hidden_at(ids.clone(), Some(segments.clone()), at.clone());
    let expected = select_positions(together.clone(), at);
    assert_close(&mixed.logits(read), &expected, PATHS);
    let mut cache = mixed.new_cache();
    let parts = [0..4, 4..7].map(|part| {
        let seen = segments.clone().slice(s![.., 0..part.end]);
        let ids = ids.clone().slice(s![.., part]);
        mixed.logits(mixed.hidden(ids, Some(seen), Some(&mut cache)))
    });
    assert_close(&Tensor::cat(parts.into(), 1), &together, PATHS);
    unroute(&mut mixed).expect("slots only");
    let after = logits(&mixed, &ids, Some(segments.clone()));
    assert_close(&after, &logits(&model, &ids, Some(segments)), 0.0);
}

fn rows_of_gpt2_choose_their_positions_too(device: &Device) {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/models/gpt2");
    let checkpoint = Checkpoint::open(dir).expect("it opens");
    let model: LanguageModel = checkpoint.load(device, DType::F32).expect("it loads");
    let ia3 = ["c_attn", "mlp.c_proj"];
    let model = three(model, "wte|wpe", &["wpe", "ln_f"], &ia3, &ia3[1..]);
    let ids = ids(ROWS.len(), 7, model.vocab_size(), device);
    let together = logits(&routed(&model), &ids, Some(padding(&LENGTHS, 7, device)));
    rows_are_their_own(&model, &ids, &together);
}

fn classifier_rows<M: SequenceClassifier>(model: &M, device: &Device) {
    let ids = ids(ROWS.len(), 7, 23, device);
    let together = routed(model).classify(ids.clone(), Some(padding(&LENGTHS, 7, device)));
    for (row, (name, length)) in ROWS.into_iter().zip(LENGTHS).enumerate() {
        let of_row = ids.clone().slice(s![row..row + 1, 0..length]);
        let alone = only(model, name).classify(of_row.clone(), None);
        assert_close(&together.clone().slice(s![row..row + 1]), &alone, PATHS);
        if name.is_some() {
            assert_differs(&alone, &only(model, None).classify(of_row, None));
        }
    }
}

fn rows_of_classifiers_choose(device: &Device) {
    let bert = BertForSequenceClassification::new(&encoders::bert(), 3, device);
    let tables = "word_embeddings|position_embeddings|token_type_embeddings";
    let ia3 = ["key", "output.dense"];
    let whole = ["classifier", "embeddings"];
    let model = three(encoders::spread(bert), tables, &whole, &ia3, &ia3[1..]);
    classifier_rows(&model, device);

    let distilbert = DistilBertForSequenceClassification::new(&encoders::distilbert(), 3, device);
    let ia3 = ["k_lin", "lin2"];
    let whole = ["classifier", "pre_classifier", "sa_layer_norm"];
    let tables = "word_embeddings|position_embeddings";
    let model = three(
        encoders::spread(distilbert),
        tables,
        &whole,
        &ia3,
        &ia3[1..],
    );
    classifier_rows(&model, device);

    let modernbert = ModernBertForSequenceClassification::new(&encoders::modernbert(), 3, device);
    let ia3 = ["Wqkv", "mlp.Wo"];
    let whole = ["classifier", "head"];
    let model = three(
        encoders::spread(modernbert),
        "tok_embeddings",
        &whole,
        &ia3,
        &ia3[1..],
    );
    classifier_rows(&model, device);
}

/// A head that is given the positions of all rows in one axis would not know whose they are: it
/// says so where it has adapters, and is right where not.
fn a_layer_whose_first_axis_is_not_the_rows_refuses(device: &Device) {
    let model = spread(&tiny(), device);
    let ids = ids(2, 5, 23, device);
    for (target, refuses) in [("lm_head", true), ("q_proj", false)] {
        let mut model = model.clone();
        let config = LoraConfig::new(2, 3.0).with_targets(Targets::suffixes([target]));
        attached(config.attach(&mut model, "lora"));
        let mut model = filled_adapters(model);
        route(&mut model, &[Some("lora"), None]).expect("it exists");
        let hidden = model.hidden(ids.clone(), None, None);
        let flat = hidden.clone().reshape([1, 10, 12]);
        let found = catch_unwind(AssertUnwindSafe(|| model.logits(flat)));
        assert_eq!(found.is_err(), refuses);
        if let Ok(found) = found {
            let expected = model.logits(hidden).reshape([1, 10, 23]);
            assert_close(&found, &expected, PATHS);
        }
    }
}

/// Adds its vector to what the layer below makes of nothing, twice where a product of its own input
/// is there; says that it gives the layer below that input.
#[derive(Module, Debug)]
struct Sharing {
    added: Param<Tensor<1>>,
}

impl Adapter for Sharing {
    const NAME: &'static str = "sharing";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense()
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let times = if x.product().is_some() { 2.0 } else { 1.0 };
        let added = self.added.val().mul_scalar(times);
        base.forward(x.rows().zeros_like()) + added.unsqueeze()
    }
}

/// An adapter that shares its input is given it with a product that was formed before; of any other
/// input it gets what the layer below makes of that.
fn the_product_with_the_base_is_shared(device: &Device) {
    let base: Linear = filled(LinearConfig::new(6, 10).init(device));
    let mut model = base.clone();
    let placement = Placement::new(Targets::all_linear());
    for (name, value) in [("one", 1.0), ("two", 2.0)] {
        let build = |layers: &[peft_core::Layer]| {
            let added = |_| Param::from_tensor(Tensor::full([10], value, device));
            Ok(layers
                .iter()
                .map(|layer| Sharing {
                    added: added(layer),
                })
                .collect())
        };
        attached(attach(
            &mut model,
            name,
            &placement,
            &[LayerKind::Linear],
            build,
        ));
    }
    let x = values([4, 3, 6], 1.0, device);
    let bias = base.bias.as_ref().expect("a bias").val();
    assert_close(
        &linear(&model, x.clone()),
        &(bias + 1.0).unsqueeze::<3>().expand([4, 3, 10]),
        PATHS,
    );
    route(&mut model, &[Some("two"), Some("one"), None, Some("two")]).expect("both exist");
    let found = linear(&model, x.clone());
    let expected = base.forward(x);
    for (row, added) in [(0, 4.0), (1, 2.0), (3, 4.0)] {
        let of_nothing = (base.bias.as_ref().expect("a bias").val() + added).unsqueeze::<3>();
        let found = found.clone().narrow(0, row, 1);
        assert_close(&found, &of_nothing.expand([1, 3, 10]), PATHS);
    }
    assert_close(&found.narrow(0, 2, 1), &expected.narrow(0, 2, 1), PATHS);
}
