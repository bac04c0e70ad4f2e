//! An operation with its gradient in Burn's graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::Autodiff;
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn_flex::FlexTensor;

/// What an operation of `N` inputs keeps for its gradient.
pub(super) trait Derivative<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradients of the inputs that want one, of that of the output.
    fn gradients(self, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// Run an operation, and record it where an input is differentiated. `run` is told which inputs
/// are, and gives what is kept with the output; it may write to the memory of an input that it does
/// not keep, if nothing else holds it.
pub(super) fn record<C: CheckpointStrategy, K: Derivative<N>, const N: usize>(
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
    run: impl FnOnce([FlexTensor; N], [bool; N]) -> (FlexTensor, K),
) -> FloatTensor<Autodiff<Flex, C>> {
    let tracked = inputs.each_ref().map(|input| input.is_tracked());
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    match Step(PhantomData::<K>)
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let (output, kept) = run(inputs, tracked);
            prep.finish(kept, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(run(inputs, tracked).0),
    }
}

#[derive(Debug)]
struct Step<K>(PhantomData<K>);

impl<K: Derivative<N>, const N: usize> Backward<Flex, N> for Step<K> {
    type State = K;

    fn backward(self, ops: Ops<K, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.gradients(grad, wanted);
        for (parent, grad) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}
