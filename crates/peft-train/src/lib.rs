//! Data, tokenisation, batching, training, evaluation and generation.
