//! [`Kept`]: an input that a gradient needs, or what it was made of.
//!
//! The gradients of norms and activations keep the inputs of these. A product that reads what one
//! of them gave need not keep that as well: it keeps a handle to the operation, which makes the
//! same bits again on the way back, once for all that ask, and is a small part of the product.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::tensor::{Bytes, DType};
use burn_flex::{FlexTensor, Layout};

use super::record::Derivative;

/// An operation that can be run again: what its gradient keeps is all that it needs.
pub(super) trait Recipe: Debug + Send + Sync + 'static {
    /// The output, all of its memory in order.
    fn make(&self) -> FlexTensor;
}

/// What an operation keeps, and what became of its output.
#[derive(Debug)]
struct Operation<R: ?Sized> {
    /// The memory of the output while anything holds it.
    output: Weak<Bytes>,
    /// The output, made again.
    again: Mutex<Option<FlexTensor>>,
    recipe: R,
}

/// What an operation keeps for its gradient, by which its output can be made again as well.
#[derive(Debug)]
pub(super) struct Made<R>(Arc<Operation<R>>);

impl<R: Recipe> Made<R> {
    /// Of an operation that gave `output`.
    pub(super) fn new(recipe: R, output: &FlexTensor) -> Self {
        let operation = Arc::new(Operation {
            output: Arc::downgrade(&output.data_arc()),
            again: Mutex::new(None),
            recipe,
        });
        let recent: Arc<Operation<dyn Recipe>> = operation.clone();
        RECENT.with_borrow_mut(|all| {
            all.truncate(AT_MOST - 1);
            all.push_front(Arc::downgrade(&recent));
        });
        Self(operation)
    }
}

impl<R> Clone for Made<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Recipe + Derivative<N>, const N: usize> Derivative<N> for Made<R> {
    fn gradients(self, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N] {
        match Arc::try_unwrap(self.0) {
            Ok(operation) => operation.recipe,
            Err(shared) => shared.recipe.clone(),
        }
        .gradients(grad, wanted)
    }
}

/// Operations whose outputs are looked for: a layer is close behind what it reads.
const AT_MOST: usize = 16;

thread_local! {
    /// The last operations of a thread, the newest first.
    static RECENT: RefCell<VecDeque<Weak<Operation<dyn Recipe>>>> =
        const { RefCell::new(VecDeque::new()) };
}

/// An input that a gradient needs.
#[derive(Debug, Clone)]
pub(super) struct Kept(Source);

#[derive(Debug, Clone)]
enum Source {
    Itself(FlexTensor),
    /// The operation, and how its output is read.
    Made(Arc<Operation<dyn Recipe>>, Layout),
}

impl Kept {
    /// The tensor, or the operation that gave it where that can be run again.
    pub(super) fn new(x: FlexTensor) -> Self {
        let memory = x.data_arc();
        // An operation holds its output's place as long as it is there, so no other tensor has it.
        let is_of = |operation: &Arc<Operation<dyn Recipe>>| {
            std::ptr::eq(operation.output.as_ptr(), Arc::as_ptr(&memory))
        };
        let found = RECENT.with_borrow(|all| all.iter().filter_map(Weak::upgrade).find(is_of));
        Self(match found {
            Some(operation) => Source::Made(operation, x.layout().clone()),
            None => Source::Itself(x),
        })
    }

    /// Its values as they were.
    pub(super) fn get(self) -> FlexTensor {
        let (operation, layout) = match self.0 {
            Source::Itself(x) => return x,
            Source::Made(operation, layout) => (operation, layout),
        };
        if let Some(memory) = operation.output.upgrade() {
            return FlexTensor::from_arc(memory, layout, DType::F32);
        }
        let mut again = operation
            .again
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let made = again.get_or_insert_with(|| operation.recipe.make());
        made.clone().with_layout(layout)
    }
}
