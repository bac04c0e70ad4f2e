//! [`PromptTemplate`]: a prompt made of a row's columns.

use serde_json::{Map, Value};

use super::column_names::no_column;

/// A prompt made of a row's columns: a text with `{column}` where the value of a column stands.
/// `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

impl PromptTemplate {
    /// Read a template.
    ///
    /// # Errors
    ///
    /// Says which brace is not closed or not opened, and where, from 1; or that no column is named.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source.char_indices().peekable();
        let place = |at: usize| source[..at].chars().count() + 1;
        while let Some((at, c)) = rest.next() {
            match c {
                '{' | '}' if rest.next_if(|(_, next)| *next == c).is_some() => text.push(c),
                '{' => {
                    let end = source[at..].find('}').map(|end| at + end);
                    let name = end.map(|end| &source[at + 1..end]);
                    let Some(name) = name.filter(|name| !name.contains('{')) else {
                        return Err(format!(
                            "the brace at character {} is not closed; {{{{ is a brace that is text",
                            place(at)
                        ));
                    };
                    let name = name.trim();
                    if name.is_empty() {
                        return Err(format!(
                            "the braces at character {} name no column",
                            place(at)
                        ));
                    }
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Column(name.into()));
                    while rest.next_if(|(at, _)| Some(*at) <= end).is_some() {}
                }
                '}' => {
                    return Err(format!(
                        "the brace at character {} closes none; }}}} is a brace that is text",
                        place(at)
                    ));
                }
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        match parts.iter().any(|part| matches!(part, Part::Column(_))) {
            true => Ok(Self { parts }),
            false => {
                Err("it names no column, as {question}, so every prompt would be the same".into())
            }
        }
    }

    /// The columns that it names.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The prompt of a row.
    ///
    /// # Errors
    ///
    /// Names the column that the row does not have, or that is no text.
    pub(super) fn fill(&self, row: &Map<String, Value>) -> Result<String, String> {
        let mut prompt = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => prompt.push_str(text),
                Part::Column(name) => match row.get(name) {
                    Some(Value::String(text)) => prompt.push_str(text),
                    Some(Value::Null) => {}
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                        prompt.push_str(&value.to_string());
                    }
                    Some(Value::Array(_) | Value::Object(_)) => {
                        return Err(format!("`{name}`, which the template names, is no text"));
                    }
                    None => return Err(no_column(row, name)),
                },
            }
        }
        Ok(prompt)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_in_braces_and_braces_are_doubled() {
        let row =
            json!({ "q": "why?", "n": 3, "none": null, "list": [], "{q": "odd", "answer": "so" });
        let row = row.as_object().expect("an object");
        for (source, expected) in [
            ("{q}", "why?"),
            ("Q: {q}\nA:", "Q: why?\nA:"),
            ("{{{q}}}", "{why?}"),
            ("{{q}} { n }{none}", "{q} 3"),
            ("é{q}é", "éwhy?é"),
        ] {
            let template = PromptTemplate::parse(source).expect("a template");
            assert_eq!(template.fill(row).as_deref(), Ok(expected), "{source}");
        }
        for (source, part) in [
            ("{q", "character 1 is not closed"),
            ("é {q {n}", "character 3 is not closed"),
            ("{q} }", "character 5 closes none"),
            ("{} {q}", "name no column"),
            ("{{q}}", "it names no column"),
        ] {
            let error = PromptTemplate::parse(source).expect_err("it is refused");
            assert!(error.contains(part), "{source}: {error}");
        }
        let fill = |source: &str| PromptTemplate::parse(source).expect("a template").fill(row);
        assert!(fill("{list}").expect_err("a list").contains("no text"));
        let near = fill("{anwser}").expect_err("none");
        assert!(near.contains("did you mean `answer`"), "{near}");
    }
}
