//! Blocks that run twice in a step drop the same both times.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use peft_layerwise::BlockDevices;
use peft_model::{CausalLm, Context, Pass, Stages};
use peft_tests::devices;
use peft_train::{
    BlockwiseLoss, EvalReport, Example, Examples, NextToken, Objective, TrainConfig, TrainError,
    TrunkStates, train,
};

use crate::{ALONE, Keep, config, model, rows};

peft_tests::cases!(a_block_drops_the_same_twice);

/// Next token, and what each block gave.
struct Watched(Mutex<HashMap<usize, Vec<TensorData>>>);

impl<M: CausalLm> Objective<M> for Watched {
    type Example = Example;
    type Report = EvalReport;

    fn name(&self) -> String {
        "watched".into()
    }

    fn loss_sum(&self, model: &M, rows: &[&Example], device: &Device) -> Tensor<1> {
        NextToken.loss_sum(model, rows, device)
    }

    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, Example>> {
        Some(self)
    }

    fn evaluate(
        &self,
        model: &M,
        examples: Examples<'_, Example>,
        batch_size: usize,
    ) -> Result<EvalReport, TrainError> {
        NextToken.evaluate(model, examples, batch_size)
    }
}

impl<M: CausalLm> BlockwiseLoss<M, Example> for Watched {
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages {
        model.stages()
    }

    fn tokens(&self, model: &M, rows: &[&Example], device: &Device) -> (Tensor<2, Int>, Pass) {
        NextToken.tokens(model, rows, device)
    }

    fn run(
        &self,
        model: &M,
        states: Tensor<3>,
        blocks: Range<usize>,
        context: &Context,
    ) -> Tensor<3> {
        let block = blocks.start;
        let states = NextToken.run(model, states, blocks, context);
        let mut seen = self.0.lock().expect("no test has panicked");
        seen.entry(block)
            .or_default()
            .push(states.clone().into_data());
        states
    }

    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&Example],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1> {
        NextToken.loss_sum_from(model, rows, trunk, device)
    }
}

/// Adapters that change what their layer gives.
struct Filled;

impl ModuleMapper for Filled {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match param.is_require_grad() {
            true => param.map(|tensor| tensor.full_like(0.3).detach().set_require_grad(true)),
            false => param,
        }
    }
}

fn a_block_drops_the_same_twice(device: &Device) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let model = model(7, device).map(&mut Filled);
    drops_the_same_twice(&model);
    // The first block on another device, which draws for itself.
    let other = devices().into_iter().find(|other| other != device);
    let blocks = vec![other.unwrap_or_else(|| device.clone()), device.clone()];
    let split = BlockDevices::new(&model, device.clone(), blocks).expect("two blocks");
    drops_the_same_twice(&split.place(model).expect("it is placed"));
}

#[track_caller]
fn drops_the_same_twice<M: CausalLm>(model: &M) {
    let watched = Watched(Mutex::default());
    let config = TrainConfig {
        recompute: true,
        learning_rate: 1e-30,
        batch_size: 1,
        max_steps: Some(2),
        ..config(3)
    };
    let one = &rows()[4..5];
    let mut none = Keep::default();
    train(model.clone(), &watched, one, None, &config, None, &mut none).expect("it trains");
    let seen = watched.0.into_inner().expect("no test has panicked");
    let [first, again, next, once_more] = &seen[&0][..] else {
        panic!("a block runs twice a step");
    };
    assert!(first == again && next == once_more, "it drops anew");
    assert!(first != next, "steps drop the same");
    assert_eq!(seen.len(), 1, "the last block runs once, with the loss");
}
