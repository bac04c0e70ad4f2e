//! What a prefix is when it is fresh, and what is refused.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Tensor};
use peft_core::PeftError;
use peft_model::Transformer;
use peft_models::DecoderForCausalLm;
use peft_prefix::{Prefix, PrefixConfig, PrefixInit, PrefixProjection, PrefixShape, Prefixed};

use super::{N, decoder};
use crate::fixture::{filled, params, trained};
use crate::models::{ids, spread, tiny};

peft_tests::cases!(
    a_fresh_one_is_small_and_trains,
    a_projected_one_has_the_shapes_of_peft,
    mistakes_are_named_and_change_nothing,
    parameters_that_do_not_fit_are_refused,
    it_moves_and_leaves_training_with_the_model,
    a_record_restores_it,
);

fn model(device: &Device) -> Prefixed<DecoderForCausalLm> {
    Prefixed::new(spread(&tiny(), &device.clone().autodiff()))
}

fn a_fresh_one_is_small_and_trains(device: &Device) {
    let mut model = model(device);
    let report = PrefixConfig::new(20).attach(&mut model, "default");
    let report = report.expect("it attaches");
    assert_eq!(report.summary.trainable, 20 * 2 * 2 * 12);
    assert_eq!((report.method, report.active), ("prefix", true));
    let flat = model.input.as_ref().expect("a prefix").flat();
    let (variance, mean) = flat.reshape([20 * 48]).var_mean(0);
    let std = variance.into_scalar::<f32>().sqrt();
    assert!((std - 0.02).abs() < 0.003, "{std}");
    assert!(mean.into_scalar::<f32>().abs() < 0.004);
    let mut again = self::model(device);
    let zero = PrefixConfig::new(4).with_init(PrefixInit::Zero);
    zero.attach(&mut again, "default").expect("it attaches");
    let flat = again.input.expect("a prefix").flat();
    assert_eq!(flat.abs().max().into_scalar::<f32>(), 0.0);
}

fn a_projected_one_has_the_shapes_of_peft(device: &Device) {
    let mut model = model(device);
    let config = PrefixConfig::new(7).with_projection(5);
    config.attach(&mut model, "default").expect("it attaches");
    let shapes: Vec<_> = params(&model)
        .into_iter()
        .filter(|(path, _)| path.starts_with("prefix."))
        .map(|(path, seen)| {
            (
                path,
                seen.data.shape().to_vec(),
                seen.data.dtype(),
                seen.trains,
            )
        })
        .collect();
    let expected = [
        ("prefix.embedding", vec![7, 12]),
        ("prefix.projection.down.bias", vec![5]),
        ("prefix.projection.down.weight", vec![12, 5]),
        ("prefix.projection.up.bias", vec![48]),
        ("prefix.projection.up.weight", vec![5, 48]),
    ];
    let expected = expected.map(|(path, shape)| (path.to_owned(), shape, DType::F32, true));
    assert_eq!(shapes, expected);
    assert_eq!(
        model.input.as_ref().expect("a prefix").flat().dims(),
        [7, 48]
    );
    assert_eq!(trained(&model).len(), 5);
}

fn mistakes_are_named_and_change_nothing(device: &Device) {
    let text = |ids: &[u32]| PrefixConfig::new(4).with_init(PrefixInit::Tokens(ids.to_vec()));
    let wrong = [
        (PrefixConfig::new(0), "the number of virtual tokens is 0"),
        (PrefixConfig::new(32), "of the model's 32 positions"),
        (PrefixConfig::new(4).with_projection(0), "width is 0"),
        (text(&[]), "without tokens"),
        (text(&[3, 23]), "23, of a vocabulary of 23"),
        (text(&[3]).with_projection(5), "cannot be solved"),
        (
            PrefixConfig::new(4).with_whole_modules(["score"]),
            "`score` matches nothing",
        ),
    ];
    for (config, message) in wrong {
        let mut model = model(device);
        let before = params(&model);
        let error = config.attach(&mut model, "default").expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
        assert!(model.input.is_none());
        assert_eq!(params(&model), before);
    }
    let mut model = model(device);
    PrefixConfig::new(31)
        .attach(&mut model, "default")
        .expect("one is left");
    let before = params(&model);
    let again = PrefixConfig::new(4).attach(&mut model, "other");
    assert_eq!(again, Err(PeftError::AlreadyThere { method: "prefix" }));
    assert_eq!(params(&model), before);
    // What another adapter caches beside the text cannot be told from the text's.
    let mut nested = Prefixed::new(decoder(device));
    let error = text(&[3, 4])
        .attach(&mut nested, "default")
        .expect_err("it reads a prefix");
    assert!(
        error.to_string().contains("other virtual tokens"),
        "{error}"
    );
    peft_tests::Invariant::Duplicate.verified("prefix tuning", device);
    peft_tests::Invariant::Refused.verified("prefix tuning", device);
}

fn parameters_that_do_not_fit_are_refused(device: &Device) {
    let shape = PrefixShape::new(2, 2, 6);
    let zeros = |rows, width| Tensor::<2>::zeros([rows, width], device);
    let projection = |d_in, hidden, same, d_out| {
        let linear = |d_in, d_out| burn::nn::LinearConfig::new(d_in, d_out).init(device);
        Some(PrefixProjection {
            down: linear(d_in, hidden),
            up: linear(same, d_out),
        })
    };
    assert!(Prefix::new(zeros(1, 48), None, shape).is_ok());
    assert!(Prefix::new(zeros(1, 9), projection(9, 5, 5, 48), shape).is_ok());
    let wrong = [
        (zeros(3, 47), None, "47 wide"),
        (zeros(0, 48), None, "at least 1"),
        (zeros(3, 9), projection(8, 5, 5, 48), "9 wide"),
        (zeros(3, 9), projection(9, 5, 4, 48), "is 4"),
        (zeros(3, 9), projection(9, 5, 5, 47), "47 wide"),
    ];
    for (embedding, projection, message) in wrong {
        let error = Prefix::new(embedding, projection, shape).expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
    }
}

fn it_moves_and_leaves_training_with_the_model(device: &Device) {
    let mut model = model(device);
    PrefixConfig::new(N)
        .attach(&mut model, "default")
        .expect("it attaches");
    assert_eq!(model.num_params(), model.model.num_params() + N * 48);
    let plain = model.valid();
    let prefix = plain.input.as_ref().expect("a prefix");
    assert!(!prefix.embedding.val().is_autodiff());
    assert_eq!(prefix.shape(), PrefixShape::of(&plain.model));
    let read = ids(1, 4, 23, device);
    let found = plain.hidden(read, None, None).into_data();
    let read = ids(1, 4, 23, &device.clone().autodiff());
    assert_eq!(found, model.hidden(read, None, None).into_data());
    assert!(
        plain
            .train()
            .input
            .expect("a prefix")
            .embedding
            .is_require_grad()
    );
    assert!(model.to_string().contains("prefix: Prefix"), "{model}");
    peft_tests::Invariant::Moves.verified("prefix tuning", device);
}

fn a_record_restores_it(device: &Device) {
    for config in [
        PrefixConfig::new(N),
        PrefixConfig::new(N).with_projection(5),
    ] {
        let fresh = || {
            let mut model = model(device);
            config.attach(&mut model, "default").expect("it attaches");
            model
        };
        let source = filled(fresh());
        let bytes = source.clone().into_record().into_bytes().expect("written");
        let record = ModuleRecord::from_bytes(bytes).expect("read");
        let target = fresh();
        assert_ne!(params(&target), params(&source));
        let target = target.load_record(record);
        assert_eq!(params(&target), params(&source));
        let read = || ids(1, 4, 23, &device.clone().autodiff());
        let found = target.hidden(read(), None, None).into_data();
        assert_eq!(found, source.hidden(read(), None, None).into_data());
        // What has no prefix is not taken for one that has.
        assert!(source.try_load_record(model(device).into_record()).is_err());
    }
    peft_tests::Invariant::Record.verified("prefix tuning", device);
}
