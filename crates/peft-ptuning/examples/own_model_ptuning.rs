//! A model of one's own takes a soft prompt: it says what its embeddings are, and how it goes on
//! from them.
use burn::module::Module;
use burn::nn::{
    Embedding, EmbeddingConfig, Linear, LinearConfig,
    gru::{Gru, GruConfig},
};
use burn::tensor::{Device, Int, Tensor};
use peft_ptuning::{Attention, Look, PromptTuningConfig, Prompted, Spec, Stages, Transformer};

#[derive(Module, Debug)]
struct Net {
    tokens: Embedding,
    gru: Gru,
    head: Linear,
}
impl Stages for Net {
    fn spec(&self) -> Spec {
        Spec {
            d_model: 16,
            n_blocks: 1,
            vocab_size: 50,
            max_positions: usize::MAX,
            n_kv_heads: 0, // no attention
            head_dim: 0,
        }
    }
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.tokens.forward(ids)
    }
    fn look(&self, _: usize) -> Look<'_> {
        Look::CAUSAL
    }
    fn block(&self, _: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        attention.queries(self.gru.forward(x, None))
    }
}
impl Transformer for Net {
    fn stages(&self) -> &dyn Stages {
        self
    }
}
fn main() -> Result<(), peft_ptuning::PeftError> {
    let device = Device::flex();
    let mut model = Prompted::new(Net {
        tokens: EmbeddingConfig::new(50, 16).init(&device),
        gru: GruConfig::new(16, 24, true).init(&device),
        head: LinearConfig::new(24, 2).init(&device),
    });
    let prompt = PromptTuningConfig::new(4).with_whole_modules(["head"]);
    let report = prompt.attach(&mut model, "default")?;
    assert_eq!(report.summary.trainable, 4 * 16 + 24 * 2 + 2); // 4 vectors and the head
    let hidden = model.hidden(Tensor::from_data([[3, 1, 4]], &device), None, None);
    let logits = model.model.head.forward(hidden);
    assert_eq!(logits.dims(), [1, 3, 2]); // the states of the text alone
    Ok(())
}
