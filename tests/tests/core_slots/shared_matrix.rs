//! Matrices that belong to no layer: VeRA's shape (Kopiczko et al. 2023, arXiv:2310.11454) in a
//! method of a few lines.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use peft_core::{
    Adapter, ForwardPath, FrozenLinear, FrozenWeight, LayerInput, LayerKind, Placement,
    SharedMatrix, Summary, Targets, attach, set_shared_matrices, shared_matrices, slots,
};
use peft_store::{AdapterInfo, OwnDir, save_own};
use peft_tests::tolerance::PATHS;

use super::traversal::others;
use crate::fixture::{Net, assert_close, assert_differs, assert_same, params, trained, values};

peft_tests::cases!(
    it_is_the_same_on_both_paths,
    it_is_counted_once_and_trains_nowhere,
    it_is_saved_once_and_read,
    it_is_one_tensor_on_each_device,
    what_is_not_shared_is_refused,
);

const RANK: usize = 3;

/// `W' = W + A diag(d) B diag(b)`, `A` and `B` cut from matrices that all layers share.
#[derive(Module, Debug)]
struct Vera {
    /// `[largest d_in, rank]`.
    a: SharedMatrix,
    /// `[rank, largest d_out]`.
    b: SharedMatrix,
    /// `[rank]`.
    lambda_d: Param<Tensor<1>>,
    /// `[d_out]`.
    lambda_b: Param<Tensor<1>>,
    d_in: usize,
}

impl Vera {
    fn factors(&self) -> [Tensor<2>; 2] {
        let [d_out] = self.lambda_b.val().dims();
        let a = self.a.value().narrow(0, 0, self.d_in);
        let b = self.b.value().narrow(1, 0, d_out);
        [
            a * self.lambda_d.val().unsqueeze(),
            b * self.lambda_b.val().unsqueeze(),
        ]
    }
}

impl Adapter for Vera {
    const NAME: &'static str = "vera";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let [a, b] = self.factors();
        base.dense_in(DType::F32) + a.matmul(b).reshape(base.dims())
    }

    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        vec![&mut self.a, &mut self.b]
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let [a, b] = self.factors();
        base.forward(x.clone()) + x.into_rows().matmul(a).matmul(b)
    }
}

/// A [`Net`] with it on all layers; the shared matrices are drawn by `seed`.
fn adapted(seed: f32, device: &Device) -> Net {
    let mut model = Net::new(device);
    let placement = Placement {
        path: ForwardPath::Factored,
        ..Placement::new(Targets::suffixes(["q_proj", "down_proj"]))
    };
    attach(
        &mut model,
        "default",
        &placement,
        &[LayerKind::Linear],
        |layers| {
            let largest = |side: usize| layers.iter().map(|layer| layer.shape[side]).max();
            let (d_in, d_out) = (largest(0).unwrap_or(0), largest(1).unwrap_or(0));
            let a = SharedMatrix::new("a", values([d_in, RANK], seed, device));
            let b = SharedMatrix::new("b", values([RANK, d_out], seed + 1.0, device));
            let layers = layers.iter().enumerate();
            let vera = |(i, layer): (usize, &peft_core::Layer)| Vera {
                a: a.clone(),
                b: b.clone(),
                lambda_d: Param::from_tensor(values([RANK], i as f32, &layer.device)),
                lambda_b: Param::from_tensor(values([layer.shape[1]], i as f32, &layer.device)),
                d_in: layer.shape[0],
            };
            Ok(layers.map(vera).collect())
        },
    )
    .expect("it attaches");
    model
}

fn veras(model: &Net) -> Vec<Vera> {
    let slots = slots(model).into_iter();
    let vera = slots.map(|(_, slot)| slot.get::<Vera>("default").expect("it is there").clone());
    vera.collect()
}

fn it_is_the_same_on_both_paths(device: &Device) {
    let model = adapted(1.0, device);
    let factored = model.output(ForwardPath::Factored);
    assert_close(&model.output(ForwardPath::Weight), &factored, PATHS);
    assert_differs(&factored, &Net::new(device).output(ForwardPath::Factored));
}

fn it_is_counted_once_and_trains_nowhere(device: &Device) {
    let auto = &device.clone().autodiff();
    let model = adapted(1.0, auto);
    let shared = shared_matrices(&model, "default");
    assert!(shared.keys().eq(["a", "b"]));
    let elements = |matrix: &SharedMatrix| matrix.value().dims().iter().product::<usize>();
    let of_shared: usize = shared.values().map(elements).sum();
    let of_params = params(&model).into_values();
    let of_params: usize = of_params.map(|seen| seen.data.num_elements()).sum();
    let summary = Summary::of(&model);
    assert_eq!(summary.total, of_params + of_shared);
    let row = |name: &str| {
        let mut rows = summary.modules.iter();
        rows.find(|row| row.module == name).expect("a row").clone()
    };
    assert_eq!(row("default.a").total, elements(&shared["a"]));
    assert_eq!(row("default.b").trainable, 0);

    let grads = model.loss(ForwardPath::Factored).backward();
    let grads = GradientsParams::from_grads(grads, &model);
    assert_eq!(grads.len(), trained(&model).len());
    assert_eq!(grads.len(), 2 * veras(&model).len());
}

fn it_is_saved_once_and_read(device: &Device) {
    let model = adapted(1.0, device);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path();
    save_own(&model, "default", "vera", &(), &AdapterInfo::new(), path).expect("it saves");
    let bytes = std::fs::read(path.join("adapter_model.safetensors")).expect("a file");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let names = tensors.names();
    let shared = names.iter().filter(|name| name.starts_with("shared."));
    assert_eq!(shared.count(), 2, "{names:?}");
    assert_eq!(names.len(), 2 + 2 * veras(&model).len(), "{names:?}");

    let mut other = adapted(5.0, device);
    let (found, expected) = (
        other.output(ForwardPath::Factored),
        model.output(ForwardPath::Factored),
    );
    assert_differs(&found, &expected);
    let own = OwnDir::open(path).expect("it opens");
    own.load(&mut other, "default").expect("it is read");
    assert_same(&other.output(ForwardPath::Factored), &expected);
    let veras = veras(&other);
    assert!(veras.iter().all(|vera| vera.a.is_same(&veras[0].a)));
}

fn it_is_one_tensor_on_each_device(device: &Device) {
    let model = adapted(1.0, device);
    let expected = model.output(ForwardPath::Factored);
    for other in others(device) {
        let moved = model.clone().to_device(&other);
        let there = veras(&moved);
        assert!(there.len() > 1);
        assert_eq!(there[0].a.value().device(), other);
        assert!(there.iter().all(|vera| vera.a.is_same(&there[0].a)));
        assert!(there.iter().all(|vera| vera.b.is_same(&there[0].b)));
        let found = moved.output(ForwardPath::Factored).to_device(device);
        assert_close(&found, &expected, PATHS);
        // A second model that moves there has it already; back again it is the first.
        let second = veras(&model.clone().to_device(&other));
        assert!(second[0].a.is_same(&there[0].a));
        let back = veras(&moved.to_device(device));
        assert!(back[0].a.is_same(&veras(&model)[0].a));
    }
    let trained = veras(&model.clone().train());
    assert!(trained[1].a.is_same(&veras(&model)[0].a));
}

fn what_is_not_shared_is_refused(device: &Device) {
    let mut model = adapted(1.0, device);
    let before = model.output(ForwardPath::Factored);
    let mut refused = |name: &str, shape: [usize; 2]| {
        let values = [(name.to_owned(), values(shape, 1.0, device))];
        set_shared_matrices(&mut model, "default", values.into())
            .expect_err("it is not there")
            .to_string()
    };
    let message = "the adapters `default` share no matrix `c` of shape [3, 10]";
    assert_eq!(refused("c", [3, 10]), message);
    let message = "the adapters `default` share no matrix `b` of shape [3, 2]";
    assert_eq!(refused("b", [3, 2]), message);
    assert_same(&model.output(ForwardPath::Factored), &before);
}
