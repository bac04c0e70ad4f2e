//! Prefixes with other things that act on a model: adapters, soft prompts, prefixes.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, s};
use peft_core::{ForwardPath, Placed, Targets, set_active, slots};
use peft_lora::LoraConfig;
use peft_model::{Context, EVERY_SEQUENCE, InputAdapter, KvCache, Transformer, WithInput};
use peft_models::DecoderForCausalLm;
use peft_prefix::{PrefixConfig, Prefixed};
use peft_tests::tolerance::PATHS;

use super::{N, by_hand, decoder, prefixed};
use crate::fixture::{assert_differs, assert_same, filled_adapters, trained, values};
use crate::models::{assert_close, ids, padding, spread, tiny};

peft_tests::cases!(
    adapters_act_beside_it_in_either_order,
    a_soft_prompt_reads_it_in_either_order,
    prefixes_nest,
    heads_of_several_adapters_act_on_one_another,
);

fn lora<M: Module>(model: &mut M) -> usize {
    let report = LoraConfig::new(2, 6.0)
        .with_targets(Targets::all_linear())
        .with_path(ForwardPath::Factored)
        .attach(model, "lora")
        .expect("it attaches");
    report.layers.len()
}

fn adapters_act_beside_it_in_either_order(device: &Device) {
    let device = &device.clone().autodiff();
    let prefix = |model: &mut Prefixed<DecoderForCausalLm>| {
        let config = PrefixConfig::new(N).with_projection(5);
        config.attach(model, "prefix").expect("it attaches");
    };
    let [mut first, mut last] = [(); 2].map(|()| Prefixed::new(spread(&tiny(), device)));
    prefix(&mut first);
    let n_layers = lora(&mut first);
    assert_eq!(
        n_layers,
        lora(&mut last),
        "the projection is no layer of the model"
    );
    prefix(&mut last);
    assert_eq!(trained(&first), trained(&last));
    assert_eq!(trained(&first).len(), 2 * n_layers + 5);
    // The LoRA acts on what reads the prefix; without strength it is the prefix alone.
    let mut both = filled_adapters(Prefixed {
        model: last.model.clone(),
        input: decoder(device).input,
    });
    let ids = ids(2, 7, 23, device);
    let mut cache = by_hand(both.input.as_ref().expect("a prefix"), 2, device);
    let expected = both.model.hidden(ids.clone(), None, Some(&mut cache));
    assert_close(&both.hidden(ids.clone(), None, None), &expected, PATHS);
    let alone = decoder(device).hidden(ids.clone(), None, None);
    assert_differs(&expected, &alone);
    set_active(&mut both, &[("lora", 0.0)]).expect("it is there");
    assert_close(&both.hidden(ids, None, None), &alone, PATHS);
    peft_tests::Invariant::SecondTrains.verified("prefix tuning", device);
}

/// The least that a soft prompt does: vectors behind what was given to the cache, before the first
/// text.
#[derive(Module, Debug)]
struct Soft {
    vectors: Param<Tensor<2>>,
}

impl InputAdapter for Soft {
    const NAME: &'static str = "soft";

    fn n_virtual_tokens(&self) -> usize {
        self.vectors.lazy_shape()[0]
    }

    fn prepare(&self, context: &mut Context) {
        context.insert(self.n_virtual_tokens());
    }

    fn begin(&self, embeds: Tensor<3>) -> Tensor<3> {
        let [batch, _, d_model] = embeds.dims();
        let vectors = self.vectors.val().unsqueeze_dim::<3>(0);
        let vectors = vectors.expand([batch, self.n_virtual_tokens(), d_model]);
        Tensor::cat(vec![vectors, embeds], 1)
    }

    fn finish(&self, states: Tensor<3>) -> Tensor<3> {
        let (n, all) = (self.n_virtual_tokens(), states.dims()[1]);
        states.narrow(1, n, all - n)
    }
}

fn a_soft_prompt_reads_it_in_either_order(device: &Device) {
    let base = decoder(device);
    let soft = || Soft {
        vectors: Param::from_tensor(values([2, 12], 7.0, device)),
    };
    let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
    let mut cache = by_hand(base.input.as_ref().expect("a prefix"), 2, device);
    let vectors = soft()
        .vectors
        .val()
        .unsqueeze_dim::<3>(0)
        .expand([2, 2, 12]);
    let embeds = Tensor::cat(vec![vectors, base.embed(ids.clone())], 1);
    let before = padding.clone().narrow(1, 0, N + 2).zeros_like();
    let seen = Tensor::cat(vec![before, padding.clone()], 1);
    let expected = base.model.hidden_from(embeds, Some(seen), Some(&mut cache));
    let expected = expected.narrow(1, 2, 7);
    let outside = WithInput {
        model: base.clone(),
        input: Some(soft()),
    };
    let inside = Prefixed {
        model: WithInput {
            model: base.model.clone(),
            input: Some(soft()),
        },
        input: base.input.clone(),
    };
    let shown = |x: Tensor<3>| x.slice(s![1..2, 0..4]);
    fn both<M: Transformer>(
        model: &M,
        ids: &Tensor<2, Int>,
        padding: &Tensor<2, Int>,
    ) -> [Tensor<3>; 2] {
        let whole = model.hidden(ids.clone(), Some(padding.clone()), None);
        let mut cache = model.new_cache();
        let runs = [0..3, 3..7]
            .map(|run| model.hidden(ids.clone().slice(s![.., run]), None, Some(&mut cache)));
        assert_eq!(cache.len(), N + 2 + 7);
        assert_eq!(model.max_positions(), 32 - N - 2);
        [whole, Tensor::cat(runs.to_vec(), 1)]
    }
    for [whole, cached] in [
        both(&outside, &ids, &padding),
        both(&inside, &ids, &padding),
    ] {
        assert_close(
            &whole.clone().slice(s![0..1]),
            &expected.clone().slice(s![0..1]),
            PATHS,
        );
        assert_close(&shown(whole), &shown(expected.clone()), PATHS);
        assert_close(
            &cached.slice(s![0..1]),
            &expected.clone().slice(s![0..1]),
            PATHS,
        );
    }
    // Attached around a prompt, a prefix leaves it trainable.
    let device = &device.clone().autodiff();
    let mut model = Prefixed::new(WithInput {
        model: spread(&tiny(), device),
        input: Some(Soft {
            vectors: Param::from_tensor(values([2, 12], 7.0, device)),
        }),
    });
    let config = PrefixConfig::new(N);
    config.attach(&mut model, "default").expect("it attaches");
    assert_eq!(trained(&model), ["prefix.embedding", "soft.vectors"]);
}

fn prefixes_nest(device: &Device) {
    let inner = decoder(device);
    let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
    let nested = prefixed(inner.clone(), device);
    let own = by_hand(inner.input.as_ref().expect("a prefix"), 2, device);
    let twice = (0..2).map(|layer| {
        let (keys, values) = own.layer(layer).expect("it is there");
        [keys, values].map(|part| Tensor::cat(vec![part.clone(), part], 2))
    });
    let mut cache = KvCache::from_layers(twice.map(|[k, v]| (k, v)).collect());
    let every = padding.clone().narrow(1, 0, 2 * N).zeros_like() + EVERY_SEQUENCE;
    let seen = Tensor::cat(vec![every, padding.clone()], 1);
    let expected = inner
        .model
        .hidden(ids.clone(), Some(seen), Some(&mut cache));
    let found = nested.hidden(ids, Some(padding), None);
    assert_close(&found, &expected, PATHS);
    peft_tests::Invariant::Composition.verified("prefix tuning", device);
}

/// A LoRA with a trained output layer, then a prefix with one: both copies act, the later on top.
fn heads_of_several_adapters_act_on_one_another(device: &Device) {
    let mut model = Prefixed::new(spread(&tiny(), &device.clone().autodiff()));
    LoraConfig::new(2, 6.0)
        .with_targets(Targets::suffixes(["q_proj"]))
        .with_whole_modules(["lm_head"])
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "lora")
        .expect("it attaches");
    let config = PrefixConfig::new(N).with_whole_modules(["lm_head"]);
    config.attach(&mut model, "prefix").expect("it attaches");
    let slots = slots(&model);
    let (_, head) = slots
        .iter()
        .find(|(path, _)| path == "lm_head.weight")
        .expect("a slot");
    let active: Vec<&str> = head
        .active()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(active, ["lora", "prefix"]);
    let (_, q_proj) = &slots[0];
    assert_eq!(q_proj.active(), [("lora".to_owned(), 1.0)]);
    let plain = Prefixed::new(spread(&tiny(), device));
    assert_same(
        &peft_model::CausalLm::logits(&model, values([1, 2, 12], 3.0, &device.clone().autodiff())),
        &peft_model::CausalLm::logits(&plain, values([1, 2, 12], 3.0, device)),
    );
}
