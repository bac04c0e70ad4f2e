//! What training holds: gradients and moments of what trains, and of nothing else.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use peft_layerwise::{BAdam, Every, Full, Lisa, Order, Strategy};
use peft_models::DecoderForCausalLm;
use peft_train::{
    Batch, EvalReport, NextToken, Observer, Progress, StepReport, TrainError, Trainer, target_nll,
};

use super::decoder;
use super::paths::{Paths, decoder as d};
use crate::fixture::params;
use crate::training::{config, examples, moments};

peft_tests::cases!(
    badam_holds_gradients_and_moments_of_one_block,
    lisa_forgets_the_blocks_that_it_left,
);

/// Elements of the gradients and of the moments after each step.
#[derive(Default)]
struct Sizes {
    gradients: Vec<usize>,
    moments: Vec<usize>,
}

impl Observer<DecoderForCausalLm> for Sizes {
    fn on_step(
        &mut self,
        _: &StepReport,
        run: &Progress<'_, DecoderForCausalLm>,
    ) -> Result<(), TrainError> {
        struct Count<'a>(&'a GradientsParams, usize);
        impl ModuleVisitor for Count<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let grad = self.0.get::<D>(param.id);
                self.1 += grad.map_or(0, |grad| grad.shape().num_elements());
            }
        }
        let rows = examples(4);
        let device = run.model.devices()[0].clone().autodiff();
        let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), &device);
        let grads = target_nll(run.model, &batch).sum().backward();
        let grads = GradientsParams::from_grads(grads, run.model);
        let mut count = Count(&grads, 0);
        run.model.visit(&mut count);
        self.gradients.push(count.1);
        self.moments.push(moments(&run.state()));
        Ok(())
    }

    fn on_eval(
        &mut self,
        _: &EvalReport,
        _: bool,
        _: &Progress<'_, DecoderForCausalLm>,
    ) -> Result<(), TrainError> {
        Ok(())
    }
}

fn sizes(strategy: &dyn Strategy, steps: usize, device: &Device) -> Sizes {
    let mut sizes = Sizes::default();
    let rows = examples(8);
    Trainer::new(&config(4, steps), &rows)
        .with_strategy(strategy)
        .run(decoder(false, device), &NextToken, &mut sizes)
        .expect("it trains");
    sizes
}

/// Elements of these parameters.
fn count(paths: &Paths, device: &Device) -> usize {
    let params = params(&decoder(false, device));
    paths
        .iter()
        .map(|path| params[path].data.num_elements())
        .sum()
}

fn badam_holds_gradients_and_moments_of_one_block(device: &Device) {
    let model = decoder(false, device);
    let every = Every::Steps(2);
    let badam = BAdam::new(&model, every, Order::Descending).expect("it fits");
    let (block, all) = (count(&d::block(0), device), count(&d::every(), device));
    assert!(3 * block < all);
    let found = sizes(&badam, 7, device);
    assert_eq!(found.gradients, [block; 7]);
    assert_eq!(found.moments, [2 * block; 7]);
    let full = sizes(&Full, 1, device);
    assert_eq!(full.gradients, [all]);
    assert_eq!(full.moments, [2 * all]);
}

fn lisa_forgets_the_blocks_that_it_left(device: &Device) {
    let model = decoder(false, device);
    let lisa = Lisa::new(&model, 1, Every::Steps(1), 2).expect("it fits");
    let ends = count(&d::below(), device) + count(&d::above(), device);
    let one = ends + count(&d::block(0), device);
    let found = sizes(&lisa, 9, device);
    assert_eq!(found.gradients, [one; 9]);
    assert_eq!(found.moments, [2 * one; 9]);
    // Were they kept, those of three blocks would be there once all are drawn.
    let drawn: Vec<Vec<usize>> = (0..9).map(|stage| lisa.blocks(stage)).collect();
    assert!(
        (0..3).all(|block| drawn.contains(&vec![block])),
        "{drawn:?}"
    );
}
