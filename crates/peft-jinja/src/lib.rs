//! Jinja2 as transformers runs it for chat templates: `ImmutableSandboxedEnvironment` with
//! `trim_blocks`, `lstrip_blocks`, `break`, `continue` and `{% generation %}`, with transformers'
//! `tojson` and `raise_exception`.
//!
//! ```
//! let template = peft_jinja::Template::new("{% for m in messages %}<{{ m.role }}>{% endfor %}")?;
//! let context = serde_json::json!({ "messages": [{ "role": "user" }] });
//! let rendered = template.render(context.as_object().unwrap())?;
//! assert_eq!(rendered.text, "<user>");
//! # Ok::<(), peft_jinja::JinjaError>(())
//! ```
//!
//! A template is a stranger's program: what it may take is bounded by [`limits`], and it reads
//! nothing but its context.
//!
//! # What this crate does not do
//!
//! It loads no other template, escapes no HTML, and knows no integers beyond 127 bits. `random`,
//! `lipsum`, `urlize` and `str.encode` are refused. Filters such as `map` do their work at once, so
//! that what they would fail on later fails here.

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
pub use template::{Function, Rendered, Template};
