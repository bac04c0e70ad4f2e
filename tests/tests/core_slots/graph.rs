//! What the factored path forms, and which gradients it gives.

use burn::module::{Module, Param};
use burn::nn::LinearConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor};
use peft_core::{
    Adapter, ForwardPath, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, LayerKind,
    Placed, Placement, Targets, attach, embedding, linear, slots,
};
use peft_lora::Lora;
use peft_tests::tolerance::PATHS;

use super::adapted;
use crate::fixture::{Net, assert_close, ids, trained, values};

peft_tests::cases!(
    the_factored_path_never_asks_for_the_weight,
    a_method_may_be_defined_by_its_weight_alone,
    the_base_has_no_gradient,
    gradients_agree_on_both_paths,
);

/// An output scale without a weight: asking for one is the fault to find.
#[derive(Module, Debug)]
struct Weightless {
    scale: Param<Tensor<1>>,
}

impl Adapter for Weightless {
    const NAME: &'static str = "weightless";

    fn weight<const D: usize>(&self, _base: &FrozenWeight<D>) -> Tensor<D> {
        panic!("the dense weight was formed")
    }

    fn needs_factored_path(&self, _training: bool) -> Option<&'static str> {
        Some("it has no weight")
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        base.forward(x) * self.scale.val().unsqueeze()
    }

    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        base.forward(ids) * self.scale.val().unsqueeze()
    }
}

/// A method of the dense weight: `W' = W ∘ M`.
#[derive(Module, Debug)]
struct Dense {
    mask: Param<Tensor<2>>,
}

impl Adapter for Dense {
    const NAME: &'static str = "dense";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense() * self.mask.val().reshape(base.dims())
    }
}

const KINDS: [LayerKind; 2] = [LayerKind::Linear, LayerKind::Embedding];

fn the_factored_path_never_asks_for_the_weight(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    let mut placement = Placement::new(Targets::suffixes(["embed", "q_proj", "head"]));
    let build = |layers: &[peft_core::Layer]| {
        let scale = |layer: &peft_core::Layer| values([layer.shape[1]], 3.0, &layer.device);
        let adapter = |layer| Weightless {
            scale: Param::from_tensor(scale(layer)),
        };
        Ok(layers.iter().map(adapter).collect())
    };
    let refused = attach(&mut model, "w", &placement, &KINDS, build);
    assert!(refused.is_err(), "the weight path cannot carry it");
    placement.path = ForwardPath::Factored;
    attach(&mut model, "w", &placement, &KINDS, build).expect("it attaches");

    // A LoRA above it asks it for its forward only; one below it likewise.
    let lora = super::lora(ForwardPath::Factored);
    lora.attach(&mut model, "a").expect("it attaches");
    for order in [["w", "a"], ["a", "w"]] {
        peft_core::set_active(&mut model, &order.map(|name| (name, 0.8))).expect("both exist");
        let grads = model.loss(ForwardPath::Factored).backward();
        let grads = GradientsParams::from_grads(grads, &model);
        assert_eq!(grads.len(), trained(&model).len());
    }
}

fn a_method_may_be_defined_by_its_weight_alone(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    let placement = Placement::new(Targets::suffixes(["embed", "q_proj"]));
    attach(&mut model, "d", &placement, &KINDS, |layers| {
        let mask = |layer: &peft_core::Layer| values(layer.shape, 3.0, &layer.device);
        let adapter = |layer| Dense {
            mask: Param::from_tensor(mask(layer)),
        };
        Ok(layers.iter().map(adapter).collect())
    })
    .expect("it attaches");
    let factored = model.output(ForwardPath::Factored);
    assert_close(&model.output(ForwardPath::Weight), &factored, PATHS);
    let grads = factored.sum().backward();
    assert_eq!(GradientsParams::from_grads(grads, &model).len(), 4);
}

fn the_base_has_no_gradient(device: &Device) {
    let device = device.clone().autodiff();
    for path in [ForwardPath::Factored, ForwardPath::Weight] {
        let model = adapted(&device, path);
        let grads = model.loss(path).backward();
        for block in &model.layers {
            for layer in [&block.q_proj, &block.v_proj, &block.down_proj] {
                assert!(layer.weight.base().grad(&grads).is_none());
                let bias = layer.bias.as_ref();
                assert!(bias.is_none_or(|bias| bias.val().grad(&grads).is_none()));
            }
        }
        assert!(model.embed.weight.val().grad(&grads).is_none());
        let grads = GradientsParams::from_grads(grads, &model);
        assert_eq!(grads.len(), 3 * 2 * 2); // A and B of the adapted layers, and nothing else
    }
    // A frozen layer without an adapter in its way forms no graph at all.
    let layer = LinearConfig::new(6, 10).init(&device).no_grad();
    assert!(!linear(&layer, values([2, 6], 1.0, &device)).is_require_grad());
}

fn gradients_agree_on_both_paths(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    peft_lora::LoraConfig::new(2, 3.0)
        .with_targets(Targets::suffixes(["embed", "q_proj", "down_proj", "head"]))
        .attach(&mut model, "a")
        .expect("it attaches");
    let model = crate::fixture::filled_adapters(model);
    let gradients = |path| {
        let grads = model.loss(path).backward();
        let grads = GradientsParams::from_grads(grads, &model);
        let mut found = Vec::new();
        for (_, slot) in slots(&model) {
            let lora: &Lora = slot.get("a").expect("a LoRA");
            for factor in [&lora.lora_a, &lora.lora_b] {
                found.push(grads.get::<2>(factor.id).expect("a gradient"));
            }
        }
        found
    };
    let (factored, by_weight) = (
        gradients(ForwardPath::Factored),
        gradients(ForwardPath::Weight),
    );
    assert_eq!(factored.len(), 2 * (1 + 3 * 2 + 1));
    for (factored, by_weight) in factored.iter().zip(&by_weight) {
        assert!(factored.clone().abs().max().into_scalar::<f32>() > 1e-4);
        assert_close(factored, by_weight, PATHS);
    }
    let rows = embedding(&model.embed, ids(&device));
    assert_close(&rows, &model.embed.forward(ids(&device)), PATHS);
}
