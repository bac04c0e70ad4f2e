//! [`dynamic_map`]: eight bits for values of unlike magnitude, as bitsandbytes has them.

/// The 256 values, in order, that a byte stands for in bitsandbytes' block-wise quantisation: of
/// both signs, or from 0 up. Seven decades share the codes, larger ones having twice as many as the
/// next below: *8-bit Optimizers via Block-wise Quantization*, Dettmers et al. 2021, section 2.1
/// (dynamic tree quantisation), with its bits.
pub fn dynamic_map(signed: bool) -> [f32; 256] {
    let mut values = vec![0.0, 1.0];
    for decade in 0..7 {
        let bits = if signed { decade } else { decade + 1 };
        let scale = 10f64.powi(decade - 6) as f32;
        for mean in means((1 << bits) + 1) {
            let value = scale * mean;
            values.push(value);
            if signed {
                values.push(-value);
            }
        }
    }
    values.resize(256, 0.0);
    values.sort_by(f32::total_cmp);
    std::array::from_fn(|i| values[i])
}

/// What lies in the middle between neighbours of so many values from 0.1 to 1, which are rounded as
/// PyTorch's `linspace`.
fn means(n: usize) -> impl Iterator<Item = f32> {
    let step = (1.0 - 0.1f32) / (n - 1) as f32;
    let at = move |i: usize| match i < n / 2 {
        true => step.mul_add(i as f32, 0.1),
        false => (-step).mul_add((n - 1 - i) as f32, 1.0),
    };
    (1..n).map(move |i| (at(i - 1) + at(i)) / 2.0)
}
