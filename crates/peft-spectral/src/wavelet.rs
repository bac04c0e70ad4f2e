//! [`Wavelet`]: a wavelet by its name, and what one coefficient of it is in a matrix.

use serde::{Deserialize, Serialize};

use crate::settings::Place;
use crate::wavelet_filters::FILTERS;

/// A wavelet: one of Daubechies', `db1` to `db10`, a symlet, `sym2` to `sym10`, or a coiflet,
/// `coif1` to `coif5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Wavelet(u8);

impl Wavelet {
    /// The wavelet of this name; none if there is no such one.
    pub fn of_name(name: &str) -> Option<Self> {
        let place = FILTERS.iter().position(|(known, _)| *known == name)?;
        u8::try_from(place).ok().map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        FILTERS[usize::from(self.0)].0
    }

    /// The names that there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILTERS.iter().map(|(name, _)| *name)
    }

    /// The low-pass filter of reconstruction, and the high-pass one.
    fn filters(self) -> [Vec<f64>; 2] {
        let (name, filter) = FILTERS[usize::from(self.0)];
        let scale = match name.starts_with("coif") {
            true => std::f64::consts::SQRT_2,
            false => 1.0,
        };
        let low: Vec<f64> = filter.iter().map(|value| value * scale).collect();
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let high = low.iter().rev().enumerate();
        let high = high.map(|(i, value)| sign(i) * value).collect();
        [low, high]
    }

    /// What one coefficient is at each place of a matrix of this many outputs and inputs, where it
    /// is not nothing: one step of an inverse transform, of which PEFT pads the coefficients and
    /// cuts the middle out.
    pub(crate) fn spread(
        self,
        [outputs, inputs]: [usize; 2],
        [output, input]: Place,
        mut each: impl FnMut(Place, f64),
    ) {
        let [low, high] = self.filters();
        let [of_outputs, of_inputs] = [outputs, inputs].map(|side| Side::new(side, low.len()));
        let (down, second_half) = of_outputs.at(output);
        let (across, right_half) = of_inputs.at(input);
        // The upper right of the coefficients is PyWavelets' horizontal detail: high-pass along the
        // outputs. So the halves say what is done along the other side.
        let along_outputs = if right_half { &high } else { &low };
        let along_inputs = if second_half { &high } else { &low };
        for (i, a) in along_outputs.iter().enumerate() {
            let Some(output) = of_outputs.place(down, i) else {
                continue;
            };
            for (j, b) in along_inputs.iter().enumerate() {
                if let Some(input) = of_inputs.place(across, j) {
                    each([output, input], a * b);
                }
            }
        }
    }
}

impl TryFrom<String> for Wavelet {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let names: Vec<&str> = Self::names().collect();
        Self::of_name(&name)
            .ok_or_else(|| format!("no wavelet {name}; there are {}", names.join(", ")))
    }
}

impl From<Wavelet> for &'static str {
    fn from(wavelet: Wavelet) -> Self {
        wavelet.name()
    }
}

/// One side of a matrix, with its coefficients padded.
struct Side {
    length: usize,
    /// Coefficients before the first that is read.
    before: usize,
    /// Half of them, padded.
    half: usize,
    /// What is cut off before the first value.
    cut: usize,
}

impl Side {
    fn new(length: usize, filter: usize) -> Self {
        let padded = length + filter - 2;
        let padded = padded + padded % 2;
        // What a step gives of these, without what its ends have too much.
        let given = padded + 2 - filter;
        Self {
            length,
            before: (padded - length) / 2,
            half: padded / 2,
            cut: filter - 2 + (given - length) / 2,
        }
    }

    /// Where the coefficient of this place is in its half, and whether that is the second.
    fn at(&self, place: usize) -> (usize, bool) {
        let at = place + self.before;
        (at % self.half, at >= self.half)
    }

    /// Where the `i`-th value of a filter falls.
    fn place(&self, at: usize, i: usize) -> Option<usize> {
        let place = (2 * at + i).checked_sub(self.cut)?;
        (place < self.length).then_some(place)
    }
}
