//! A parameter that trains and that adapters of many layers read.

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use peft_core::{ForwardPath, Placed, SharedParam, Summary, Targets, parameters, slots};
use peft_vera::{Vblora, VbloraConfig};

use crate::fixture::{Net, assert_differs, steps};

peft_tests::cases!(
    it_is_counted_and_updated_once,
    a_traversal_makes_it_anew_everywhere,
);

const NAME: &str = "default";

fn attached(device: &Device) -> Net {
    let mut model = Net::new(device);
    VbloraConfig::new(2)
        .with_bank(7, 2)
        .with_targets(Targets::suffixes(["q_proj", "v_proj", "down_proj"]))
        .with_path(ForwardPath::Factored)
        .attach(&mut model, NAME)
        .expect("it attaches");
    model
}

fn banks(model: &Net) -> Vec<SharedParam> {
    let slots = slots(model).into_iter();
    let of = slots.map(|(_, slot)| slot.get::<Vblora>(NAME).expect("it is there").bank.clone());
    of.collect()
}

/// The values that all layers read, which are the same.
fn read(model: &Net) -> TensorData {
    let mut values = banks(model).into_iter().map(|bank| bank.val().into_data());
    let first = values.next().expect("some layer");
    let others: Vec<TensorData> = values.collect();
    assert!(others.len() > 1 && others.iter().all(|other| *other == first));
    first
}

fn it_is_counted_and_updated_once(device: &Device) {
    let model = attached(&device.clone().autodiff());
    let found = parameters(&model);
    let of_bank = found.iter().filter(|param| param.path.ends_with("bank"));
    assert_eq!(of_bank.count(), 1, "one path");
    let logits: usize = found
        .iter()
        .filter(|param| param.path.contains("logits"))
        .map(|param| param.shape.iter().product::<usize>())
        .sum();
    assert_eq!(Summary::of(&model).trainable, logits + 7 * 2);
    let owners = banks(&model).iter().filter(|bank| bank.is_owned()).count();
    assert_eq!(owners, 1);

    let (before, old) = (read(&model), model.clone());
    let (stepped, _) = steps(model, 1, |model| model.loss(ForwardPath::Factored));
    let once = read(&stepped);
    assert_ne!(once, before);
    assert_eq!(read(&old), before, "the old model has the old one");
    // Another step from the same model is another model's.
    let (again, _) = steps(old.clone(), 1, |model| model.loss(ForwardPath::Factored));
    assert_eq!(read(&again), once);
    let (twice, _) = steps(stepped, 1, |model| model.loss(ForwardPath::Factored));
    assert_ne!(read(&twice), once);
    assert_eq!(read(&again), once);
    assert_differs(
        &twice.output(ForwardPath::Factored),
        &old.output(ForwardPath::Factored),
    );
}

fn a_traversal_makes_it_anew_everywhere(device: &Device) {
    let autodiff = device.clone().autodiff();
    let model = attached(&autodiff);
    let before = read(&model);
    let plain = model.valid();
    assert_eq!(read(&plain), before);
    assert!(banks(&plain).iter().all(|bank| !bank.val().is_autodiff()));
    assert!(
        banks(&model)
            .iter()
            .all(|bank| bank.val().is_require_grad())
    );
    let forked = model.clone().fork(&autodiff);
    assert!(
        banks(&forked)
            .iter()
            .all(|bank| bank.val().is_require_grad())
    );
    // Each model's leaf has the gradients of its own layers, and all of them.
    let of = |model: &Net| {
        let grads = model.loss(ForwardPath::Factored).backward();
        let grads = banks(model).into_iter().map(|bank| bank.val().grad(&grads));
        let grads: Vec<TensorData> = grads.map(|of| of.expect("it trains").into_data()).collect();
        assert!(grads.iter().all(|of| *of == grads[0]));
        grads[0].clone()
    };
    assert_eq!(of(&forked), of(&model));
    let frozen = forked.no_grad();
    assert!(
        banks(&frozen)
            .iter()
            .all(|bank| !bank.val().is_require_grad())
    );
    assert!(
        banks(&model)
            .iter()
            .all(|bank| bank.val().is_require_grad())
    );
}
