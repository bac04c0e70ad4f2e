//! AdamW's update with moments in eight bits, as bitsandbytes keeps them.

use burn::tensor::{Tensor, TensorData};

use crate::{AdamWStep, Blockwise8, Signs};

impl AdamWStep {
    /// The fewest numbers of a moment that are worth eight bits: smaller ones are better kept in
    /// f32, as bitsandbytes does.
    pub const FEWEST_8BIT: usize = 4096;

    /// As [`update`](Self::update), with moments that are kept in eight bits between steps. The
    /// parameter is updated by the moments as they are before they are rounded again.
    ///
    /// # Shapes
    ///
    /// All are of one shape; none is in a graph.
    ///
    /// # Panics
    ///
    /// If the moments have not as many numbers as the parameter.
    pub fn update_8bit<const D: usize>(
        &self,
        param: Tensor<D>,
        grad: Tensor<D>,
        moments: Option<[Blockwise8; 2]>,
    ) -> (Tensor<D>, [Blockwise8; 2]) {
        const KINDS: [Signs; 2] = [Signs::Both, Signs::Positive];
        let (shape, device, dtype) = (grad.shape(), grad.device(), grad.dtype());
        let wide = moments.map(|[first, second]| {
            [(first, KINDS[0]), (second, KINDS[1])].map(|(moment, kind)| {
                let data = TensorData::new(moment.numbers(kind), shape.clone());
                Tensor::from_data(data, (&device, dtype))
            })
        });
        let (param, [first, second]) = self.update(param, grad, wide);
        let narrow = [(first, KINDS[0]), (second, KINDS[1])].map(|(moment, kind)| {
            let data = moment.into_data().convert::<f32>();
            match data.as_slice::<f32>() {
                Ok(numbers) => Blockwise8::of(kind, numbers),
                Err(_) => Blockwise8::of(kind, &data.iter::<f32>().collect::<Vec<_>>()),
            }
        });
        (param, narrow)
    }
}
