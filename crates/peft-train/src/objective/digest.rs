//! [`digest_of`]: a number that tells one set of examples from another.

use peft_core::Digest;

use super::TrainExample;

/// The digest of examples, in their order.
pub fn digest_of<E: TrainExample>(examples: &[E]) -> Digest {
    let mut digest = Digest::default();
    for example in examples {
        example.digest(&mut digest);
    }
    digest
}
