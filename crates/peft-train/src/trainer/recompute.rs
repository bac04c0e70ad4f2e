//! A batch's loss and gradients with each block run twice: *Training Deep Nets with Sublinear
//! Memory Cost*, Chen et al. 2016, [arXiv:1604.06174](https://arxiv.org/abs/1604.06174).
//!
//! Forward, what each block reads is kept and nothing else. On the way back a block runs again, in
//! a graph of its own: with `y` its output and `g` the gradient that came down, the linear map
//! `y ↦ Σ g ∘ y` has the gradients of the block's parameters and of what it reads, which is handed
//! down. So a step holds the graph of one block at a time.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use peft_kernels::with_gradient;
use peft_model::Context;

use crate::{BlockwiseLoss, TrunkStates};

/// The rows of a batch and their loss.
pub(super) struct RecomputedLoss<'a, M, E> {
    pub(super) model: &'a M,
    pub(super) objective: &'a dyn BlockwiseLoss<M, E>,
    pub(super) rows: &'a [&'a E],
    /// Targets of the whole step.
    pub(super) n_targets: usize,
    /// Decides what a block drops, both times.
    pub(super) seed: u64,
    pub(super) device: &'a Device,
}

/// What a block reads.
struct BlockInput {
    states: Tensor<3>,
    /// Whether something that made them trains.
    is_tracked: bool,
}

impl BlockInput {
    fn leaf(self) -> Tensor<3> {
        self.states.set_require_grad(self.is_tracked)
    }
}

impl<M: Module, E> RecomputedLoss<'_, M, E> {
    /// The rows' share of the step's mean loss, and its gradients: from tokens, or from what a
    /// trunk gave for them.
    pub(super) fn gradients(&self, trunk: Option<TrunkStates>) -> (Tensor<1>, GradientsParams) {
        let (model, objective) = (self.model, self.objective);
        let mut sum = GradientsAccumulator::new();
        let mut add = |grads| sum.accumulate(model, GradientsParams::from_grads(grads, model));
        let last = objective.stages(model).spec().n_blocks.saturating_sub(1);

        let (trunk, mut context) = objective.begin(model, self.rows, trunk, self.device);
        let (first, began) = (trunk.block, trunk.states);
        let given = context.cut_given();
        let seed = |block: usize| {
            let of_block = objective.stages(model).device(block);
            let device = of_block.as_ref().unwrap_or(self.device);
            device.seed(self.seed.wrapping_add(block as u64));
        };
        let run = |model: &M, states, block, context: &Context| {
            seed(block);
            objective.run(model, states, block..block + 1, context)
        };
        // Makes no graph: what was detached from one is not freed before a backward pass.
        let untracked = model.clone().no_grad();
        let mut top = BlockInput {
            is_tracked: began.is_tracked(),
            states: began.clone().detach(),
        };
        let mut kept = Vec::new();
        for block in first..last {
            let model = match top.is_tracked {
                true => &untracked,
                false => model,
            };
            let states = run(model, top.states.clone(), block, &context);
            let reads = given.get(block).is_some_and(|pair| pair.0.is_tracked());
            let above = BlockInput {
                is_tracked: top.is_tracked || reads || states.is_tracked(),
                states: states.detach(),
            };
            kept.push(std::mem::replace(&mut top, above));
        }

        let leaf = top.leaf();
        seed(last);
        let trunk = TrunkStates {
            block: first.max(last),
            states: leaf.clone(),
        };
        let part = objective.loss_sum_from(model, self.rows, trunk, self.device);
        let part = part.div_scalar(self.n_targets as f64);
        let loss = part.clone().inner();
        let grads = part.backward();
        let mut handed = leaf.grad(&grads);
        add(grads);

        context.track_given(&given);
        // Linear maps of what blocks share, with the gradients that came down to it.
        let mut ends = Vec::new();
        for block in (first..last).rev() {
            let (Some(gradient), Some(below)) = (handed.take(), kept.pop()) else {
                break;
            };
            let leaf = below.leaf();
            let grads = linear_map(run(model, leaf.clone(), block, &context), gradient).backward();
            handed = leaf.grad(&grads);
            if let (Some(given), Some(cut)) = (given.get(block), context.given().get(block)) {
                let pairs = [(&given.0, &cut.0), (&given.1, &cut.1)];
                ends.extend(pairs.into_iter().filter_map(|(given, cut)| {
                    let gradient = cut.grad(&grads)?;
                    Some(linear_map(given.clone(), gradient))
                }));
            }
            add(grads);
        }
        let handed = handed.filter(|_| began.is_tracked());
        ends.extend(handed.map(|gradient| linear_map(began, gradient)));
        let here = |end: Tensor<1>| match end.device() == *self.device {
            true => end,
            false => end.to_device(self.device),
        };
        if let Some(ends) = ends.into_iter().map(here).reduce(|sum, end| sum + end) {
            add(ends.backward());
        }
        (loss, sum.grads())
    }
}

/// A number whose gradient by `y` is `gradient`, `[1]`.
fn linear_map<const D: usize>(y: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    let n = y.shape().num_elements();
    let nothing = Tensor::zeros([1], (&gradient.device(), gradient.dtype()));
    with_gradient(nothing, y.reshape([1, n]), gradient.reshape([1, n]))
}
