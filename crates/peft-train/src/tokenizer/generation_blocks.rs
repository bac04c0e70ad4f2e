//! `{% generation %}` blocks: what transformers adds to Jinja to tell the assistant's text.
//!
//! The tags become those of a filter block, whose filter puts a mark before and after what is in it. The rules of white space around tags are the same for both.

use std::ops::Range;

use super::chat_template::Rendered;

/// The filter's name; no template has one of that name.
pub(super) const FILTER: &str = "assistant_text";
/// Noncharacters, which no text has.
const BEGIN: char = '\u{FDD0}';
const END: char = '\u{FDD1}';

/// The template with its tags replaced, and whether there were any.
pub(super) fn translate(source: &str) -> (String, bool) {
    let mut out = String::with_capacity(source.len());
    let mut found = false;
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            break;
        };
        let (tag, after) = tag.split_at(end + 2);
        let inside = &tag[2..tag.len() - 2];
        let word = inside.trim_matches(|c: char| c.is_whitespace() || "+-".contains(c));
        match word {
            "generation" => {
                found = true;
                out.push_str(&tag.replace("generation", &format!("filter {FILTER}")));
            }
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endfilter")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    (out, found)
}

/// What the filter does.
pub(super) fn mark(text: &str) -> String {
    format!("{BEGIN}{text}{END}")
}

/// The text without the marks, and what was between them.
pub(super) fn spans(marked: &str) -> Rendered {
    let mut text = String::with_capacity(marked.len());
    let mut generated: Vec<Range<usize>> = Vec::new();
    let mut open = None;
    for c in marked.chars() {
        match c {
            BEGIN => open = Some(text.len()),
            END => generated.extend(open.take().map(|start| start..text.len())),
            c => text.push(c),
        }
    }
    Rendered { text, generated }
}
