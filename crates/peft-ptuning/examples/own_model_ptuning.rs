//! A model of one's own takes a soft prompt: it says what its embeddings are, and how it goes on from them.
use burn::module::Module;
use burn::nn::{
    Embedding, EmbeddingConfig, Linear, LinearConfig,
    gru::{Gru, GruConfig},
};
use burn::tensor::{Device, Int, Tensor};
use peft_ptuning::{FromEmbeddings, KvCache, PromptTuningConfig, Prompted};

#[derive(Module, Debug)]
struct Net {
    tokens: Embedding,
    gru: Gru,
    head: Linear,
}
type Ids = Tensor<2, Int>;
impl FromEmbeddings for Net {
    fn embed(&self, ids: Ids) -> Tensor<3> {
        self.tokens.forward(ids)
    }
    fn hidden_from(&self, x: Tensor<3>, _: Option<Ids>, _: Option<&mut KvCache>) -> Tensor<3> {
        self.gru.forward(x, None)
    }
}
fn main() -> Result<(), peft_ptuning::PeftError> {
    let device = Device::flex();
    let mut model = Prompted::new(Net {
        tokens: EmbeddingConfig::new(50, 16).init(&device),
        gru: GruConfig::new(16, 24, true).init(&device),
        head: LinearConfig::new(24, 2).init(&device),
    });
    let prompt = PromptTuningConfig::new(4).with_modules_to_save(["head"]);
    let report = prompt.attach_sized(&mut model, 50, "default")?; // of 50 tokens
    assert_eq!(report.summary.trainable, 4 * 16 + 24 * 2 + 2); // 4 vectors and the head
    let hidden = model.hidden(Tensor::from_data([[3, 1, 4]], &device), None, None);
    let logits = model.model.head.forward(hidden);
    assert_eq!(logits.dims(), [1, 3, 2]); // the states of the text alone
    Ok(())
}
