//! Rows of two texts.

use peft_train::{ColumnNames, Dataset, Row, RowOptions};
use serde_json::json;

/// GLUE's names, and the columns of others.
#[test]
fn pairs_of_texts_have_many_names() {
    let options = RowOptions {
        columns: ColumnNames::parse(&["text=one".to_owned(), "text_pair=two".to_owned()])
            .expect("columns"),
        ..RowOptions::default()
    };
    for (row, options) in [
        (json!({ "text": "a", "text_pair": "b", "label": 1 }), None),
        (
            json!({ "sentence1": "a", "sentence2": "b", "label": 1, "idx": 3 }),
            None,
        ),
        (
            json!({ "premise": "a", "hypothesis": "b", "label": 1 }),
            None,
        ),
        (
            json!({ "question1": "a", "question2": "b", "label": 1 }),
            None,
        ),
        (
            json!({ "one": "a", "two": "b", "label": 1 }),
            Some(&options),
        ),
    ] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), row.to_string()).expect("it is written");
        let options = options.cloned().unwrap_or_default();
        let found = Dataset::read_all(&[file.path().into()], &options).expect("a row");
        let Row::Labelled { text, pair, .. } = found.row(0).expect("it is read") else {
            panic!("{row}");
        };
        assert_eq!((text.as_str(), pair.as_deref()), ("a", Some("b")), "{row}");
    }
}
