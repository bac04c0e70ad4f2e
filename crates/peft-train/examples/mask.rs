//! What of conversations is a target. Standard input has a JSON list of `[directory, row]`, a
//! tokenizer's directory and a row of messages; standard output gets a list with an object for
//! each: the `ids`, and as many `targets`, or the `error`.

use std::io::{Read, Write};

use peft_train::{Dataset, EncodeOptions, Example, TextTokenizer, encode};
use serde_json::{Value, json};

fn example(dir: &str, row: &Value) -> Result<Example, Box<dyn std::error::Error>> {
    let tokenizer = TextTokenizer::from_dir(dir)?;
    let file = std::path::Path::new(dir).join("row.jsonl");
    std::fs::write(&file, row.to_string())?;
    let options = EncodeOptions {
        max_length: usize::MAX >> 1,
        append_eos: false,
        vocab_size: usize::MAX,
    };
    let encoded = encode(&Dataset::read(&file)?, &tokenizer, &options)?;
    let mut examples = encoded.examples.to_vec()?.into_iter();
    examples.next().ok_or_else(|| "no row".into())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let cases: Vec<(String, Value)> = serde_json::from_str(&text)?;
    let masks = cases.iter().map(|(dir, row)| match example(dir, row) {
        Ok(example) => json!({ "ids": example.ids, "targets": example.targets }),
        Err(error) => json!({ "error": error.to_string() }),
    });
    let masks = Value::Array(masks.collect());
    writeln!(std::io::stdout(), "{masks}")?;
    Ok(())
}
