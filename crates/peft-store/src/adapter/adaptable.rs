//! [`Adaptable`]: a model that takes an adapter of any kind.

use peft_prefix::Prefixed;
use peft_ptuning::Prompted;

/// A model with room for a soft prompt and for a prefix; without them it is the model.
pub type Adaptable<M> = Prompted<Prefixed<M>>;

/// A model that nothing is put before yet.
pub fn adaptable<M>(model: M) -> Adaptable<M> {
    Prompted::new(Prefixed::new(model))
}
