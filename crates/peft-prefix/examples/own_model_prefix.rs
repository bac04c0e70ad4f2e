//! A model of one's own takes a prefix: its attention, here one head of 8 a layer over rows of one length, appends to a `KvCache`.
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, activation::softmax};
use peft_prefix::{FromEmbeddings, KvCache, PrefixConfig, PrefixShape, Prefixed};

#[derive(Module, Debug)]
struct Net {
    embed: Embedding,
    layers: Vec<Linear>,
}
type Ids = Tensor<2, Int>;
impl FromEmbeddings for Net {
    fn embed(&self, ids: Ids) -> Tensor<3> {
        self.embed.forward(ids)
    }
    fn hidden_from(&self, mut x: Tensor<3>, _: Option<Ids>, c: Option<&mut KvCache>) -> Tensor<3> {
        let mut own = KvCache::new(self.layers.len());
        let cache = c.unwrap_or(&mut own);
        for (i, layer) in self.layers.iter().enumerate() {
            let qkv = layer.forward(x.clone()).unsqueeze_dim::<4>(1); // [batch, 1, positions, 24]
            let part = |j| qkv.clone().slice_dim(3, 8 * j..8 * j + 8);
            let (k, v) = cache.append(i, part(1), part(2)); // [batch, 1, prefix and positions, 8]
            let weights = softmax(part(0).matmul(k.transpose()), 3);
            x = x + weights.matmul(v).squeeze_dim::<3>(1);
        }
        x
    }
}
fn main() -> Result<(), peft_prefix::PeftError> {
    let device = Device::flex();
    let embed = EmbeddingConfig::new(50, 8).init(&device);
    let layers = vec![LinearConfig::new(8, 24).init(&device); 2];
    let mut model = Prefixed::new(Net { embed, layers });
    let shape = PrefixShape::new(2, 1, 8); // layers, heads of keys and values, their width
    let report = PrefixConfig::new(4).attach_shaped(&mut model, shape, "default")?;
    let hidden = model.hidden(Tensor::from_data([[3, 1, 4]], &device), None, None);
    println!("{report}{hidden}");
    Ok(())
}
