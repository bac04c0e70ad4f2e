//! A layer of rows that are still to be scaled is the layer of scaled rows, whichever way it is
//! computed.

use burn::tensor::{Device, Tensor};
use peft_core::{ForwardPath, linear, scaled_linear};
use peft_tests::tolerance::PATHS;

use crate::fixture::{Net, assert_close, filled_adapters, values};

peft_tests::cases!(values_and_gradients_are_those_of_scaled_rows);

fn values_and_gradients_are_those_of_scaled_rows(device: &Device) {
    let auto = &device.clone().autodiff();
    for (name, rows_train, scale_trains, adapted) in [
        ("the scale goes into the weight", false, true, false),
        ("the rows take a gradient", true, true, false),
        ("the scale is fixed", false, false, false),
        ("the layer has an adapter", false, true, true),
    ] {
        println!("{name}");
        let mut net = Net::new(auto);
        if adapted {
            super::lora(ForwardPath::Factored)
                .attach(&mut net, "a")
                .expect("it attaches");
            net = filled_adapters(net);
        }
        let layer = &net.layers[0].q_proj;
        let x = values([2, 3, 6], 1.0, auto).set_require_grad(rows_train);
        let scale = (values([6], 2.0, auto) + 1.5).detach();
        let scale = scale.set_require_grad(scale_trains);
        let of_way = |y: Tensor<3>| {
            let weights = values(y.dims(), 3.0, auto);
            let grads = (y.clone() * weights).sum().backward();
            let bias = layer.bias.as_ref().expect("it has one").base();
            let of_layer = layer
                .weight
                .base()
                .grad(&grads)
                .map(|grad| grad.flatten(0, 1));
            let found: Vec<Option<Tensor<1>>> = vec![
                Some(y.inner().flatten(0, 2)),
                x.grad(&grads).map(|grad| grad.flatten(0, 2)),
                scale.grad(&grads),
                bias.grad(&grads),
                of_layer,
            ];
            found
        };
        let found = of_way(scaled_linear(layer, x.clone(), scale.clone()));
        let expected = of_way(linear(layer, x.clone() * scale.clone().unsqueeze()));
        assert_eq!(
            expected[4].is_none(),
            adapted,
            "a layer with an adapter is frozen"
        );
        assert_eq!(expected[2].is_some(), scale_trains);
        for (found, expected) in found.iter().zip(&expected) {
            match (found, expected) {
                (Some(found), Some(expected)) => assert_close(found, expected, PATHS),
                (found, expected) => assert_eq!(found.is_some(), expected.is_some()),
            }
        }
    }
}
