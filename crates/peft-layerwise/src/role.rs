//! [`Role`]: what a parameter does in its layer.

use peft_core::Parameter;

/// What a parameter does in the module that holds it.
///
/// A normalisation layer is a type whose name ends in `Norm`, as all of Burn's do. A bias is a
/// field of that name, or `beta` in a normalisation layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The scale of a normalisation layer.
    NormWeight,
    /// The shift of a normalisation layer.
    NormBias,
    /// Any other bias.
    Bias,
    /// Something else, a weight for instance.
    Other,
    /// A parameter of an adapter.
    Adapter,
}

impl Role {
    /// The role of a parameter.
    pub fn of(parameter: &Parameter) -> Self {
        if parameter.adapter.is_some() || parameter.in_input_adapter {
            return Self::Adapter;
        }
        let name = parameter.name.as_str();
        let bias = name == "bias" || name.ends_with("_bias");
        match parameter.container.ends_with("Norm") {
            // Statistics that a layer keeps do not train.
            true if name.starts_with("running_") => Self::Other,
            true if bias || name == "beta" => Self::NormBias,
            true => Self::NormWeight,
            false if bias => Self::Bias,
            false => Self::Other,
        }
    }
}
