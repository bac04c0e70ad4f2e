//! Running statistics: frozen with the base, and of each adapter that trains their module whole.

use std::collections::BTreeMap;

use burn::module::{Flag, Module, Param, RunningState};
use burn::nn::{BatchNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Distribution, Tensor};
use peft_core::{
    ForwardPath, ParamSet, PeftError, Placed, Targets, detach, freeze_all_but, merge,
    moving_statistics, rename, replace, route, set_active, set_disabled, set_statistics,
    statistics, train_whole,
};
use peft_lora::LoraConfig;

use crate::fixture::{Normed, params};

peft_tests::cases!(
    a_frozen_base_keeps_its_statistics,
    what_trains_whole_has_statistics_of_its_own,
    each_adapter_has_its_own,
    they_go_where_their_adapter_goes,
    clones_do_not_share_what_is_exchanged,
    they_can_be_read_and_given,
    a_mask_freezes_them_with_their_module,
    what_cannot_be_frozen_is_refused,
    rows_cannot_differ_in_them,
);

impl Normed {
    fn new(device: &Device) -> Self {
        let mut net = Self {
            up: LinearConfig::new(3, 4).init(device),
            bn: BatchNormConfig::new(4).init(device),
            down: LinearConfig::new(4, 2).init(device),
        };
        // Statistics of a base that has been trained.
        let of = |values: [f32; 4]| RunningState::new(Tensor::from_floats(values, device));
        net.bn.running_mean = of([0.5, -0.25, 1.0, 0.0]);
        net.bn.running_var = of([2.0, 0.5, 1.0, 3.0]);
        net
    }

    fn output(&self, x: &Tensor<2>) -> Vec<f32> {
        let x = match self.devices()[0].is_autodiff() {
            true => x.clone(),
            false => x.clone().inner(),
        };
        self.forward(x).into_data().iter::<f32>().collect()
    }
}

fn rows(device: &Device) -> Tensor<2> {
    Tensor::random([6, 3], Distribution::Normal(1.0, 2.0), device)
}

/// A few steps by Burn's own optimizer, as a user of Burn trains.
fn trained(mut net: Normed, x: &Tensor<2>, n: usize) -> Normed {
    let mut sgd = SgdConfig::new().init();
    for _ in 0..n {
        let loss = net.forward(x.clone()).powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        net = sgd.step(0.1, net, grads);
    }
    net
}

fn lora() -> LoraConfig {
    LoraConfig::new(2, 3.0)
        .with_targets(Targets::suffixes(["up", "down"]))
        .with_path(ForwardPath::Factored)
}

fn whole() -> LoraConfig {
    lora().with_whole_modules(["bn"])
}

fn running(net: &Normed) -> BTreeMap<String, Vec<f32>> {
    let all = params(&net.valid());
    let wanted = all.into_iter().filter(|(path, _)| path.contains("running"));
    wanted
        .map(|(path, seen)| (path, seen.data.iter::<f32>().collect()))
        .collect()
}

fn a_frozen_base_keeps_its_statistics(device: &Device) {
    let device = device.clone().autodiff();
    let base = Normed::new(&device);
    let x = rows(&device);
    let (before, expected) = (running(&base), base.valid().output(&x));
    let mut net = base.clone();
    lora().attach(&mut net, "default").expect("it attaches");
    assert!(moving_statistics(&net).is_empty());
    let mut net = trained(net, &x, 5);
    assert_eq!(running(&net), before);
    // The same in training and out of it, which batch statistics would not be.
    assert_eq!(net.output(&x), net.valid().output(&x));
    assert_ne!(net.valid().output(&x), expected);
    set_disabled(&mut net, true).expect("slots only");
    assert_eq!(net.valid().output(&x), expected);
}

fn what_trains_whole_has_statistics_of_its_own(device: &Device) {
    let device = device.clone().autodiff();
    let base = Normed::new(&device);
    let x = rows(&device);
    let (before, expected) = (running(&base), base.valid().output(&x));
    let attaches: [fn(&mut Normed); 2] = [
        |net| drop(whole().attach(net, "a").expect("it attaches")),
        |net| drop(train_whole(net, "a", &["bn".into()]).expect("it trains")),
    ];
    for attach in attaches {
        let mut net = base.valid().train();
        attach(&mut net);
        assert_eq!(moving_statistics(&net).len(), 2);
        assert_eq!(running(&net), before, "they begin as the base's");
        let mut net = trained(net, &x, 5);
        let (own, output) = (running(&net), net.valid().output(&x));
        assert_ne!(own, before);
        // Off, nothing moves, training or not; on again, they are as they were.
        set_disabled(&mut net, true).expect("slots only");
        assert!(moving_statistics(&net).is_empty());
        net.output(&x);
        assert_eq!(running(&net), before);
        assert_eq!(net.valid().output(&x), expected);
        set_disabled(&mut net, false).expect("slots only");
        assert_eq!(running(&net), own);
        assert_eq!(net.valid().output(&x), output);
        let merged = {
            let mut merged = net.valid();
            drop(merge(&mut merged).expect("it merges"));
            merged
        };
        assert_eq!(running(&merged), own);
        detach(&mut net, "a").expect("it is there");
        assert_eq!(running(&net), before);
        assert_eq!(net.valid().output(&x), expected);
    }
}

fn each_adapter_has_its_own(device: &Device) {
    let device = device.clone().autodiff();
    let x = rows(&device);
    let base = Normed::new(&device);
    let before = running(&base);
    let mut net = base.valid().train();
    whole().attach(&mut net, "a").expect("it attaches");
    let mut net = trained(net, &x, 3);
    let of_a = running(&net);
    whole().attach(&mut net, "b").expect("it attaches");
    lora().attach(&mut net, "c").expect("it attaches");
    set_active(&mut net, &[("b", 1.0)]).expect("it is there");
    assert_eq!(running(&net), before, "b begins as the base, not as a");
    let mut net = trained(net, &(x.clone() * 3.0), 3);
    let of_b = running(&net);
    assert_ne!(of_b, of_a);
    for (active, expected) in [
        (&[("a", 1.0)][..], &of_a),
        (&[("b", 1.0), ("a", 1.0)], &of_a),
        (&[("a", 1.0), ("b", 1.0), ("c", 1.0)], &of_b),
        (&[("c", 1.0)], &before),
        (&[], &before),
        (&[("b", 1.0)], &of_b),
    ] {
        set_active(&mut net, active).expect("they are there");
        assert_eq!(running(&net), *expected, "{active:?}");
    }
}

fn they_go_where_their_adapter_goes(device: &Device) {
    let device = device.clone().autodiff();
    let x = rows(&device);
    let mut net = Normed::new(&device);
    let before = running(&net);
    whole().attach(&mut net, "a").expect("it attaches");
    let mut net = trained(net, &x, 3);
    let of_a = running(&net);
    rename(&mut net, "a", "b").expect("it is there");
    set_disabled(&mut net, true).expect("slots only");
    set_disabled(&mut net, false).expect("slots only");
    assert_eq!(running(&net), of_a);
    // A fresh one takes the place of the one that acts.
    whole().attach(&mut net, "new").expect("it attaches");
    assert_eq!(running(&net), of_a);
    replace(&mut net, "b", "new").expect("they are alike");
    assert_eq!(running(&net), before);
    let moved = net.valid().to_device(&device.clone().inner());
    assert_eq!(running(&moved.train()), before);
}

fn clones_do_not_share_what_is_exchanged(device: &Device) {
    let device = device.clone().autodiff();
    let x = rows(&device);
    let mut net = Normed::new(&device);
    whole().attach(&mut net, "a").expect("it attaches");
    let net = trained(net, &x, 3);
    let own = running(&net);
    let mut other = net.clone();
    set_disabled(&mut other, true).expect("slots only");
    assert_ne!(running(&other), own);
    assert_eq!(running(&net), own);
    let mut merged = net.clone();
    let unmerged = merge(&mut merged).expect("it merges");
    freeze_all_but(&mut merged, &ParamSet::All).expect("all of it");
    trained(merged, &x, 2);
    let mut back = net.clone();
    unmerged.restore(&mut back);
    assert_eq!(running(&back), own);
}

fn they_can_be_read_and_given(device: &Device) {
    let device = device.clone().autodiff();
    let x = rows(&device);
    let base = Normed::new(&device);
    let mut net = base.valid().train();
    whole().attach(&mut net, "a").expect("it attaches");
    let mut net = trained(net, &x, 3);
    let of_a = statistics(&net, "a");
    assert_eq!(
        of_a.keys().collect::<Vec<_>>(),
        ["bn.running_mean", "bn.running_var"]
    );
    let (own, output) = (running(&net), net.valid().output(&x));
    set_disabled(&mut net, true).expect("slots only");
    assert_eq!(statistics(&net, "a"), of_a, "the same while they wait");
    // To another model, where they act at once; and where they wait.
    for waits in [false, true] {
        let mut other = base.valid().train();
        whole().attach(&mut other, "a").expect("it attaches");
        set_disabled(&mut other, waits).expect("slots only");
        set_statistics(&mut other, "a", &of_a).expect("they fit");
        set_disabled(&mut other, false).expect("slots only");
        assert_eq!(running(&other), own, "{waits}");
        assert_ne!(other.valid().output(&x), output, "LoRA and scale are fresh");
    }
    let mut other = base.valid().train();
    lora().attach(&mut other, "a").expect("it attaches");
    assert!(statistics(&other, "a").is_empty());
    let refused = set_statistics(&mut other, "a", &of_a).expect_err("it has none");
    assert!(refused.to_string().contains("bn.running_mean"), "{refused}");
}

fn a_mask_freezes_them_with_their_module(device: &Device) {
    let device = device.clone().autodiff();
    let x = rows(&device);
    let base = Normed::new(&device);
    let before = running(&base);
    let mut net = base.valid().train();
    let names = |name: &str| ParamSet::Names(peft_core::Names::suffixes([name]));
    freeze_all_but(&mut net, &names("down")).expect("it is there");
    let mut net = trained(net, &x, 3);
    assert_eq!(running(&net), before);
    freeze_all_but(&mut net, &names("bn")).expect("it is there");
    let net = trained(net, &x, 3);
    assert_ne!(running(&net), before);
}

/// Statistics without a flag that stops them.
#[derive(Module, Debug)]
struct Restless {
    up: Linear,
    mean: RunningState<Tensor<1>>,
    flag_of_another: Inner,
}

#[derive(Module, Debug)]
struct Inner {
    training: Param<Flag>,
}

fn what_cannot_be_frozen_is_refused(device: &Device) {
    let device = device.clone().autodiff();
    let mut net = Restless {
        up: LinearConfig::new(3, 4).init(&device),
        mean: RunningState::new(Tensor::zeros([4], &device)),
        flag_of_another: Inner {
            training: Param::from_bool(true),
        },
    };
    let refused = LoraConfig::new(2, 3.0)
        .attach(&mut net, "a")
        .expect_err("it would drift");
    assert!(matches!(refused, PeftError::Statistics { .. }), "{refused}");
    assert!(net.up.weight.is_require_grad(), "the model is as it was");
}

fn rows_cannot_differ_in_them(device: &Device) {
    let device = device.clone().autodiff();
    let mut net = Normed::new(&device);
    whole().attach(&mut net, "a").expect("it attaches");
    let mut net = net.valid();
    let refused = route(&mut net, &[Some("a"), None]).expect_err("one set of statistics");
    assert!(refused.to_string().contains("`bn`"), "{refused}");
}
