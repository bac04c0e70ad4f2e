//! What a template may use. Templates are programs of strangers: each limit is far above what a
//! conversation needs, and below what harms a machine.

/// Work of one rendering: expressions and statements evaluated, items made or compared, and a step
/// for each [`BYTES_PER_STEP`] bytes of text made or read.
pub const MAX_STEPS: u64 = 20_000_000;
/// Bytes of text that count as one step.
pub const BYTES_PER_STEP: usize = 32;
/// Bytes of a rendered text, and of any string on the way to it.
pub const MAX_TEXT: usize = 64 << 20;
/// Items of a list, tuple or mapping.
pub const MAX_ITEMS: usize = 2_000_000;
/// Numbers in a `range`, which is Jinja's own limit in its sandbox.
pub const MAX_RANGE: usize = 100_000;
/// Levels of brackets and blocks in a template's source.
pub const MAX_SYNTAX_DEPTH: usize = 200;
/// Levels of evaluation: a call of a macro takes some five. Python gives up at about 200 calls.
pub const MAX_EVAL_DEPTH: usize = 2_000;
/// Levels of lists in lists.
pub const MAX_VALUE_DEPTH: usize = 500;
/// Bytes of a template's source.
pub const MAX_SOURCE: usize = 16 << 20;
/// Bytes of the stack that a template is compiled and run on; pages are taken when they are
/// touched.
pub(crate) const STACK: usize = 64 << 20;
