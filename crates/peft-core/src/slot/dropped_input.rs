//! [`drops`] and [`dropped_input`]: adapters whose input is dropped out.

use burn::nn::Dropout;

/// Whether a dropout acts: it has a rate, and its module trains.
pub fn drops(dropout: &Dropout) -> bool {
    dropout.prob > 0.0 && dropout.training.is_enabled()
}

/// What [`needs_factored_path`](crate::Adapter::needs_factored_path) is of an adapter whose input
/// this drops out.
pub fn dropped_input(dropout: &Dropout, training: bool) -> Option<&'static str> {
    (training && drops(dropout))
        .then_some("dropout acts on the adapter's input, which no weight can express")
}
