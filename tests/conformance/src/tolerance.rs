//! How close is equal: absolute below one and relative above, unless said otherwise.
//! `docs/conformance.md` has this table.

/// Two paths through the same backend in f32.
pub const PATHS: f32 = 1e-5;
/// The same of a sum of products of random matrices (RandLoRA), which is large beside what it adds
/// up to, in shaders (`vulkan`, `wgpu`): 1.5e-5 was seen.
pub const PATHS_RANDOM_SHADERS: f32 = 3e-5;
/// Two paths through the same backend on a base in bf16, whose every step rounds to 2⁻⁸, relative
/// to the largest value.
pub const PATHS_BF16: f32 = 4e-2;
/// Two paths through the same backend on a base in f16, whose every step rounds to 2⁻¹¹, relative
/// to the largest value.
pub const PATHS_F16: f32 = 5e-3;
/// A product, and its gradients, with a weight stored in bf16, whose rows may be rounded to bf16 as
/// they are multiplied, and the same in f32, relative to the largest: a gradient in bf16 is rounded
/// to 2⁻⁸.
pub const STORED_BF16: f32 = 8e-3;
/// The same with a weight stored in f16, multiplied in f32: a gradient in f16 is rounded to 2⁻¹¹.
pub const STORED_F16: f32 = 1e-3;
/// The states of a small model in bf16 and in f32, relative to the largest.
pub const MODEL_BF16: f32 = 5e-2;
/// The states of a small model in f16 and in f32, relative to the largest.
pub const MODEL_F16: f32 = 1e-2;
/// The same in shaders (`vulkan`, `wgpu`), whose sums of f16 need not be kept in f32: 5.6e-3 was
/// seen.
pub const PATHS_F16_SHADERS: f32 = 1e-2;
/// A gradient in f64 and the central difference of the loss.
pub const FINITE_DIFFERENCE: f64 = 1e-7;
/// Logits against the reference implementation in f32.
pub const GOLDEN_LOGITS: f32 = 1e-4;
/// Values against the reference implementation, both computed in bf16, relative to the largest.
pub const GOLDEN_BF16: f32 = 2e-2;
/// Gradients and losses against the reference implementation in f32, relative.
pub const GOLDEN_GRADIENTS: f32 = 1e-4;
