//! Short rows behind each other in a batch: losses and updates of rows apart, in fewer positions.

use burn::tensor::Device;
use peft_models::{Activation, CausalLm, Gpt2Config};
use peft_ptuning::{PromptTuningConfig, Prompted};
use peft_train::{
    Batch, Example, NextToken, Objective, Observer, PackedNextToken, Progress, Regularisation,
    StepReport, TrainConfig, TrainError, TrainState, Trainer,
};

use super::{Log, adapted, bits, config, examples};
use crate::models::{spread, tiny};

peft_tests::cases!(
    fewer_positions_hold_all_tokens,
    losses_and_updates_are_those_of_rows_apart,
    rows_stay_apart_where_a_position_is_not_relative,
    a_run_goes_on_to_the_same_bits,
);

const PACKED: PackedNextToken = PackedNextToken {
    row_length: 24,
    regularisation: Regularisation {
        label_smoothing: 0.0,
        noise_alpha: 0.0,
    },
};

fn fewer_positions_hold_all_tokens(device: &Device) {
    let rows = examples(9);
    let rows: Vec<&Example> = rows.iter().collect();
    let (apart, packed) = (Batch::new(&rows, device), Batch::packed(&rows, 24, device));
    assert_eq!(packed.n_examples, 9);
    assert_eq!(packed.n_targets(), apart.n_targets());
    let positions = |batch: &Batch| batch.ids.dims().iter().product::<usize>();
    let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
    assert!((tokens..positions(&apart)).contains(&positions(&packed)));
    assert!(packed.ids.dims()[1] <= 24);
    // Rows of one length are padded nowhere: they stay as they are.
    let batch = Batch::packed(&[rows[2]; 3], 24, device);
    assert_eq!(batch.ids.dims(), [3, rows[2].ids.len()]);
    assert!(batch.segments.is_none());
    // Nothing is cut: what is longer than a row stays alone.
    let batch = Batch::packed(&rows, 1, device);
    assert_eq!(batch.ids.dims(), apart.ids.dims());
}

/// Three steps of two batches each.
fn settings() -> TrainConfig {
    TrainConfig {
        epsilon: 0.1,
        grad_accum: 2,
        ..config(4, 3)
    }
}

/// The parameters after some steps, and the steps.
fn trained<M, O>(model: &M, objective: &O, state: Option<&TrainState>) -> (Vec<f32>, Log)
where
    M: CausalLm,
    O: Objective<M, Example = Example, Report = peft_train::EvalReport>,
{
    let (config, rows) = (settings(), examples(9));
    let mut log = Log::default();
    let trainer = Trainer::new(&config, &rows).with_state(state);
    let model = trainer.run(model.clone(), objective, &mut log);
    let parameters = bits(&model.expect("it trains"));
    let values = parameters.values().flat_map(|data| data.iter::<f32>());
    (values.collect(), log)
}

fn losses_and_updates_are_those_of_rows_apart(device: &Device) {
    let model = adapted(device, 0.0);
    assert!(PACKED.holds_for(&model));
    let (apart, of_apart) = trained(&model, &NextToken, None);
    let (packed, of_packed) = trained(&model, &PACKED, None);
    for (packed, apart) in of_packed.steps.iter().zip(&of_apart.steps) {
        assert_eq!(packed.targets, apart.targets);
        let close = (packed.loss - apart.loss).abs() < 1e-5 * apart.loss;
        assert!(close, "{} and {}", packed.loss, apart.loss);
    }
    let mut pairs = packed.iter().zip(&apart);
    assert!(pairs.all(|(packed, apart)| (packed - apart).abs() < 1e-5));
    // Rows of no length are none that others are put into.
    let none = PackedNextToken::default();
    assert!(!none.holds_for(&model));
    assert!(trained(&model, &none, None).0 == apart);
}

fn rows_stay_apart_where_a_position_is_not_relative(device: &Device) {
    let device = &device.clone().autodiff();
    let learned = Gpt2Config {
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
    let model = learned.init(device);
    assert!(!PACKED.holds_for(&model));
    assert!(trained(&model, &PACKED, None).0 == trained(&model, &NextToken, None).0);
    let mut model = Prompted::new(spread(&tiny(), device));
    assert!(PACKED.holds_for(&model));
    let prompt = PromptTuningConfig::new(2);
    prompt.attach(&mut model, "default").expect("it attaches");
    assert!(!PACKED.holds_for(&model));
    assert!(trained(&model, &PACKED, None).0 == trained(&model, &NextToken, None).0);
}

/// Keeps the state after the first step.
#[derive(Default)]
struct First(Option<TrainState>);

impl<M: burn::module::Module, R> Observer<M, R> for First {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        if report.step == 1 {
            self.0 = Some(progress.state());
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn a_run_goes_on_to_the_same_bits(device: &Device) {
    let model = adapted(device, 0.0);
    let (config, rows) = (settings(), examples(9));
    let mut first = First::default();
    let trainer = Trainer::new(&config, &rows);
    let run = trainer.run(model.clone(), &PACKED, &mut first);
    run.expect("it trains");
    let state = first.0.expect("a state");
    assert!(trained(&model, &PACKED, Some(&state)).0 == trained(&model, &PACKED, None).0);
}
