//! [`Template`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::ast::Body;
use crate::error::JinjaError;
use crate::eval;
use crate::limits::STACK;
use crate::parse::parse;

/// A function of one text that templates may call.
pub type Function = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    body: Arc<Body>,
    generation: bool,
    functions: Vec<(Arc<str>, Function)>,
}

/// What a template wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    /// The text.
    pub text: String,
    /// The bytes of the text that are in `{% generation %}` blocks, as transformers tells them.
    pub generated: Vec<Range<usize>>,
}

impl Template {
    /// Compiles a source.
    ///
    /// # Errors
    ///
    /// [`JinjaError::Syntax`] where it is no template, and [`JinjaError::Limit`] where it is too
    /// long or too deep.
    pub fn new(source: &str) -> Result<Self, JinjaError> {
        let (body, generation) = on_own_stack(|| parse(source))?;
        Ok(Self {
            body: Arc::new(body),
            generation,
            functions: Vec::new(),
        })
    }

    /// Adds a function.
    #[must_use]
    pub fn with_function(mut self, name: &str, function: Function) -> Self {
        self.functions.push((name.into(), function));
        self
    }

    /// Whether it has a `{% generation %}` block.
    #[must_use]
    pub fn marks_generation(&self) -> bool {
        self.generation
    }

    /// Renders with these variables.
    ///
    /// # Errors
    ///
    /// [`JinjaError::Render`] where an expression fails, [`JinjaError::Raised`] where the template
    /// says so, and [`JinjaError::Limit`] where it takes too much.
    pub fn render(
        &self,
        context: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Rendering, JinjaError> {
        let (text, mut generated) =
            on_own_stack(|| eval::render(&self.body, &self.functions, context))?;
        for range in &mut generated {
            range.end = text.floor_char_boundary(range.end.min(text.len()));
            range.start = range.start.min(range.end);
        }
        Ok(Rendering { text, generated })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Runs on a thread whose stack holds the deepest template that the limits allow.
fn on_own_stack<T: Send>(
    run: impl FnOnce() -> Result<T, JinjaError> + Send,
) -> Result<T, JinjaError> {
    let failed = |reason: &str| {
        Err(JinjaError::Limit {
            line: 1,
            limit: reason.into(),
        })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match thread.spawn_scoped(scope, run) {
            Ok(handle) => match handle.join() {
                Ok(result) => result,
                Err(_) => failed("the interpreter failed"),
            },
            Err(error) => failed(&format!("no thread for the template: {error}")),
        }
    })
}
