//! A model of one's own takes a prefix: its attention, here one head of 8 a layer over rows of one
//! length and written out, asks for all keys and values that there are.
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, activation::softmax};
use peft_prefix::{Attention, Look, PrefixConfig, Prefixed, Spec, Stages, Transformer};

#[derive(Module, Debug)]
struct Net {
    embed: Embedding,
    layers: Vec<Linear>,
}
impl Stages for Net {
    fn spec(&self) -> Spec {
        Spec {
            d_model: 8,
            n_blocks: self.layers.len(),
            vocab_size: 50,
            max_positions: usize::MAX,
            n_kv_heads: 1,
            head_dim: 8,
        }
    }
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embed.forward(ids)
    }
    fn look(&self, _: usize) -> Look<'_> {
        Look::ALL
    }
    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let qkv = self.layers[block].forward(x.clone()); // [batch, positions, 24]
        let part = |j| qkv.clone().slice_dim(2, 8 * j..8 * j + 8);
        let (q, x) = (attention.queries(part(0)), attention.queries(x)); // of what is read
        let one_head = |x: Tensor<3>| x.unsqueeze_dim::<4>(1);
        let (k, v) = attention.all(one_head(part(1)), one_head(part(2))); // behind the prefix
        let weights = softmax(one_head(q).matmul(k.transpose()), 3);
        x + weights.matmul(v).squeeze_dim::<3>(1)
    }
}
impl Transformer for Net {
    fn stages(&self) -> &dyn Stages {
        self
    }
}
fn main() -> Result<(), peft_prefix::PeftError> {
    let device = Device::flex();
    let embed = EmbeddingConfig::new(50, 8).init(&device);
    let layers = vec![LinearConfig::new(8, 24).init(&device); 2];
    let mut model = Prefixed::new(Net { embed, layers });
    let report = PrefixConfig::new(4).attach(&mut model, "default")?;
    let hidden = model.hidden(Tensor::from_data([[3, 1, 4]], &device), None, None);
    println!("{report}{hidden}");
    Ok(())
}
