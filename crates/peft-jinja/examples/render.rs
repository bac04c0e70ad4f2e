//! Renders templates. Standard input has a JSON list of `[source, context]`; standard output gets a
//! list with an object for each: the `text` and what was `generated` in `{% generation %}` blocks,
//! or the `error`.

use std::io::{Read, Write};
use std::sync::Arc;

use peft_jinja::Template;
use serde_json::{Map, Value};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let cases: Vec<(String, Map<String, Value>)> = serde_json::from_str(&text)?;
    let rendered = cases.iter().map(|(source, context)| {
        let now = Arc::new(|format: &str| Ok(format.to_owned()));
        let template = Template::new(source).map(|t| t.with_function("strftime_now", now));
        match template.and_then(|template| template.render(context)) {
            Ok(rendered) => {
                let spans = rendered.generated.iter();
                let spans: Vec<&str> = spans.map(|span| &rendered.text[span.clone()]).collect();
                serde_json::json!({ "text": rendered.text, "generated": spans })
            }
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        }
    });
    let rendered = Value::Array(rendered.collect());
    writeln!(std::io::stdout(), "{rendered}")?;
    Ok(())
}
