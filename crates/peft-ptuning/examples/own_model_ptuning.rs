//! A Burn model of one's own takes a soft prompt: it says what its embeddings are, and how it goes on from them.
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Gru, GruConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};
use peft_core::KvCache;
use peft_ptuning::{FromEmbeddings, PeftError, PromptTuningConfig, Prompted};

#[derive(Module, Debug)]
struct Net {
    tokens: Embedding,
    gru: Gru,
    head: Linear,
}

impl FromEmbeddings for Net {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.tokens.forward(ids)
    }

    #[rustfmt::skip]
    fn hidden_from(&self, embeds: Tensor<3>, _: Option<Tensor<2, Int>>, _: Option<&mut KvCache>) -> Tensor<3> {
        self.gru.forward(embeds, None)
    }
}

fn main() -> Result<(), PeftError> {
    let device = Device::flex();
    let net = Net {
        tokens: EmbeddingConfig::new(50, 16).init(&device),
        gru: GruConfig::new(16, 24, true).init(&device),
        head: LinearConfig::new(24, 2).init(&device),
    };
    let mut net = Prompted::new(net);
    let config = PromptTuningConfig::new(4).with_modules_to_save(["head"]);
    let report = config.attach_sized(&mut net, 50, "default")?;
    assert_eq!(report.summary.trainable, 4 * 16 + 24 * 2 + 2); // 4 vectors and the head
    let logits = net
        .model
        .head
        .forward(net.hidden(Tensor::zeros([3, 7], &device), None, None));
    assert_eq!(logits.dims(), [3, 7, 2]); // the states of the text alone
    Ok(())
}
