#![doc = include_str!("../README.md")]
mod args;
mod ast;
mod budget;
mod error;
mod eval;
mod filters;
mod format;
mod json;
mod lexer;
pub mod limits;
mod methods;
mod parse;
mod scope;
mod sort;
mod template;
mod tests;
mod text;
mod value;

pub use error::JinjaError;
pub use template::{Function, Rendering, Template};
