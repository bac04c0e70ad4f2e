//! What is drawn follows the seed. A program of its own, one test at a time: the device's generator
//! is one for all threads.

mod dropped_twice;

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{ForwardPath, Placed};
use peft_lora::LoraConfig;
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_train::{
    EvalReport, Example, NextToken, Observer, Progress, StepReport, TrainConfig, TrainError,
    TrainState, train,
};

peft_tests::cases!(
    a_seed_decides_weights_order_and_dropout,
    a_run_with_dropout_goes_on_to_the_same_bits,
);

static ALONE: Mutex<()> = Mutex::new(());

fn rows() -> Vec<Example> {
    let row = |i: u32| {
        let ids: Vec<u32> = (0..4 + i % 5).map(|j| (i * 7 + j * j) % 17).collect();
        let targets = (0..ids.len()).map(|j| j > 1).collect();
        Example::new(ids, targets)
    };
    (0..10).map(row).collect()
}

fn model(seed: u64, device: &Device) -> DecoderForCausalLm {
    let device = device.clone().autodiff();
    device.seed(seed);
    let config = DecoderConfig {
        n_kv_heads: 1,
        norm_epsilon: 1e-5,
        max_positions: 16,
        tie_word_embeddings: true,
        ..DecoderConfig::llama(17, 8, 12, 2, 2)
    };
    let mut model = config.init(&device);
    LoraConfig::new(2, 4.0)
        .with_dropout(0.3)
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "default")
        .expect("it attaches");
    model
}

fn config(seed: u64) -> TrainConfig {
    TrainConfig {
        batch_size: 4,
        max_steps: Some(6),
        learning_rate: 0.02,
        seed,
        ..TrainConfig::default()
    }
}

/// Every parameter of the adapters, bit for bit.
fn bits(model: &DecoderForCausalLm) -> Vec<TensorData> {
    struct Read(Vec<TensorData>);
    impl ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0.push(peft_tests::read(param.base()));
            }
        }
    }
    let mut read = Read(Vec::new());
    model.visit(&mut read);
    read.0
}

/// Keeps the state after a step, and ends the run there if it is to.
#[derive(Default)]
struct Keep {
    after: usize,
    ends: bool,
    state: Option<TrainState>,
}

impl<M: Module> Observer<M> for Keep {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        if report.step == self.after {
            self.state = Some(progress.state());
            if self.ends {
                return Err(TrainError::NothingTrains);
            }
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn run(init: u64, seed: u64, state: Option<&TrainState>, device: &Device) -> Vec<TensorData> {
    let keep = &mut Keep::default();
    let model = model(init, device);
    bits(&train(model, &NextToken, &rows(), None, &config(seed), state, keep).expect("it trains"))
}

fn a_seed_decides_weights_order_and_dropout(device: &Device) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = run(1, 1, None, device);
    assert!(run(1, 1, None, device) == first);
    assert!(run(1, 2, None, device) != first);
    assert!(run(2, 1, None, device) != first);
    peft_tests::Invariant::Chance.verified("lora", device);
}

fn a_run_with_dropout_goes_on_to_the_same_bits(device: &Device) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let expected = run(1, 3, None, device);
    for after in 1..6 {
        let mut keep = Keep {
            after,
            ends: true,
            state: None,
        };
        let ended = train(
            model(1, device),
            &NextToken,
            &rows(),
            None,
            &config(3),
            None,
            &mut keep,
        );
        assert!(ended.is_err());
        // The adapter is drawn anew, otherwise, and replaced by the state's.
        let mut fresh = model(1, device);
        let drawn = bits(&fresh);
        device.seed(99);
        fresh = fresh.map(&mut Redraw);
        assert!(bits(&fresh) != drawn);
        let model = train(
            fresh,
            &NextToken,
            &rows(),
            None,
            &config(3),
            keep.state.as_ref(),
            &mut Keep::default(),
        );
        assert!(
            bits(&model.expect("it trains")) == expected,
            "after step {after}"
        );
    }
}

/// Gives what trains other values and other ids.
struct Redraw;

impl burn::module::ModuleMapper for Redraw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        let (_, value, mapper) = param.consume();
        let device = value.device();
        let value = Tensor::from_data((value + 0.5).into_data(), &device).require_grad();
        Param::from_mapped_value(burn::module::ParamId::new(), value, mapper)
    }
}
