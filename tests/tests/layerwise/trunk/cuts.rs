//! A loss in two halves is the loss to the bit, wherever it is cut: also where a last block of
//! other shapes would round otherwise.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use peft_models::{BertConfig, BertForSequenceClassification, DecoderConfig, Transformer};
use peft_train::{NextToken, Objective, SequenceClassification};

use crate::fixture::filled;
use crate::layerwise::{bert, texts};
use crate::models::tiny;
use crate::training::examples;

peft_tests::cases!(a_cut_loss_has_the_same_bits);

fn a_cut_loss_has_the_same_bits(device: &Device) {
    let auto = &device.clone().autodiff();
    // Wide enough for kernels to sum in blocks.
    let decoder = DecoderConfig {
        d_model: 96,
        d_ff: 136,
        head_dim: 24,
        n_layers: 3,
        ..tiny()
    };
    check(&small(decoder.init(auto)), NextToken, &examples(7), device);
    let encoder = BertConfig {
        d_model: 96,
        d_ff: 136,
        ..bert()
    };
    let encoder = BertForSequenceClassification::new(&encoder, 3, auto);
    let texts = texts(7);
    check(
        &small(encoder),
        SequenceClassification::default(),
        &texts,
        device,
    );
}

/// Values that no function between the states and the loss flattens.
fn small<M: Module>(model: M) -> M {
    struct Scale;
    impl ModuleMapper for Scale {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let trains = param.is_require_grad();
            param.map(|tensor| {
                let device = tensor.device();
                let scaled = tensor.mul_scalar(0.1).into_data();
                Tensor::from_data(scaled, &device).set_require_grad(trains)
            })
        }
    }
    filled(model).map(&mut Scale)
}

fn check<M, O>(model: &M, objective: O, rows: &[O::Example], device: &Device)
where
    M: Module + Transformer,
    O: Objective<M>,
{
    let auto = &device.clone().autodiff();
    let blockwise = objective.blockwise().expect("it can be cut");
    for rows in rows.chunks(1).chain(rows.chunks(3)) {
        let rows: Vec<&O::Example> = rows.iter().collect();
        let expected = objective.loss_sum(model, &rows, auto).into_data();
        for block in 0..=model.n_blocks() {
            let trunk = blockwise.trunk(model, &rows, block, auto);
            let found = blockwise
                .loss_sum_from(model, &rows, trunk, auto)
                .into_data();
            assert_eq!(found, expected, "before block {block}");
        }
    }
}
