//! What cannot be asked for is refused by name, with what can.

use burn::nn::LinearConfig;
use burn::tensor::Device;
use peft_layerwise::{
    BAdam, BitFit, Depth, Discriminative, Every, FreezeBottom, Full, Gradual, Head, Lisa, Matching,
    Norms, Order, PeftError, Side, TopLayers,
};

use super::decoder;

peft_tests::cases!(what_cannot_be_is_refused);

fn message<S>(made: Result<S, PeftError>) -> String {
    made.err().expect("it is refused").to_string()
}

fn what_cannot_be_is_refused(device: &Device) {
    let model = decoder(false, device);
    let steps = Every::Steps(2);
    for n in [0, 4] {
        for refused in [
            message(TopLayers::new(&model, n)),
            message(Lisa::new(&model, n, steps, 0)),
        ] {
            assert!(
                refused.contains(&format!("{n} of the model's 3 layers")),
                "{refused}"
            );
            assert!(refused.contains("choose 1 to 3"), "{refused}");
        }
    }
    assert!(message(FreezeBottom::new(&model, 4)).contains("4 of the model's 3 layers"));
    for every in [Every::Steps(0), Every::Epochs(0)] {
        for refused in [
            message(Gradual::new(&model, Side::Top, every)),
            message(Lisa::new(&model, 1, every, 0)),
            message(BAdam::new(&model, every, Order::Ascending)),
        ] {
            assert!(
                refused.contains("stage is 0, but must be at least 1"),
                "{refused}"
            );
        }
    }
    for decay in [0.0, -0.5, 1.01, f64::NAN] {
        let refused = message(Discriminative::new(&model, Full, decay));
        assert!(refused.contains("above 0 and at most 1"), "{refused}");
    }
    let refused = message(Head::new(&model, ["lm_haed"]));
    assert!(refused.contains("did you mean `lm_head`"), "{refused}");
    // A parameter is no module.
    assert!(message(Head::new(&model, ["lm_head.weight"])).contains("module"));
    assert!(message(Matching::new(&model, "lm")).contains("`lm` matches nothing"));
    assert!(message(Matching::new(&model, "(")).contains("no regular expression"));

    let bare = LinearConfig::new(3, 4).with_bias(false).init(device);
    assert!(message(BitFit::new(&bare)).contains("`bias` matches nothing"));
    assert!(message(Norms::new(&bare)).contains("`norm` matches nothing"));
    for refused in [message(Depth::of(&bare)), message(TopLayers::new(&bare, 1))] {
        assert!(refused.contains("layer index"), "{refused}");
    }
    peft_tests::Invariant::Refused.verified("layer-wise", device);
}
