//! Labels of rows: what they name, and what is refused.

use peft_train::{
    Dataset, LabelSet, ProblemType, Target, TextTokenizer, TrainError, encode, encode_classes,
};

use crate::training::data::{dataset, options, tokenizer};

fn tokens() -> TextTokenizer {
    tokenizer("")
}

fn rows(labels: &[&str]) -> Dataset {
    let row = |label: &&str| format!("{{\"text\":\"a b\",\"label\":{label}}}\n");
    dataset(&labels.iter().map(row).collect::<String>()).expect("rows")
}

fn set(names: &[&str]) -> LabelSet {
    LabelSet::new(names.iter().map(|name| (*name).to_owned()).collect()).expect("a set")
}

fn targets(labels: &[&str], problem: ProblemType, set: &LabelSet) -> Vec<Target> {
    let encoded = encode_classes(&rows(labels), &tokens(), problem, set, 8, 10);
    let examples = encoded.expect("it encodes").examples.into_iter();
    examples.map(|example| example.target).collect()
}

#[test]
fn the_set_of_a_file_is_sorted() {
    let found = LabelSet::of(&rows(&["\"dog\"", "\"ant\"", "\"dog\"", "\"cat\""])).expect("a set");
    assert_eq!(found.names(), ["ant", "cat", "dog"]);
    let found = LabelSet::of(&rows(&["10", "9", "\"9\"", "2"])).expect("a set");
    assert_eq!(found.names(), ["2", "9", "10"]);
    let found = LabelSet::of(&rows(&["[\"b\"]", "[]", "[\"a\",\"b\"]"])).expect("a set");
    assert_eq!(found.names(), ["a", "b"]);
    let found = LabelSet::of(&rows(&["true", "false"])).expect("a set");
    assert_eq!(found.names(), ["0", "1"]);
    let text = dataset("{\"text\":\"a\"}").expect("rows");
    assert!(matches!(
        LabelSet::of(&text),
        Err(TrainError::WrongTask { .. })
    ));
    assert!(LabelSet::new(vec!["a".into(), "a".into()]).is_err());
    assert!(LabelSet::new(Vec::new()).is_err());
}

#[test]
fn a_label_is_a_name_or_a_number() {
    let names = set(&["neg", "pos"]);
    let found = targets(&["1", "\"neg\"", "0"], ProblemType::SingleLabel, &names);
    assert_eq!(found, [1, 0, 0].map(Target::Class));
    let found = targets(
        &["[\"pos\"]", "[]", "[1,0]", "[0.0,1.0]"],
        ProblemType::MultiLabel,
        &names,
    );
    let expected = [[false, true], [false, false], [true, true], [false, true]];
    assert_eq!(found, expected.map(|on| Target::Classes(on.to_vec())));
    let found = targets(&["1.5", "-2"], ProblemType::Regression, &set(&["score"]));
    assert_eq!(found, [1.5, -2.0].map(Target::Value));
}

#[test]
fn unknown_labels_are_named_with_the_nearest() {
    let labels = ["\"pos\"", "\"psitive\"", "\"negative\"", "7"];
    let file = rows(&labels);
    let refused = encode_classes(
        &file,
        &tokens(),
        ProblemType::SingleLabel,
        &set(&["negative", "positive"]),
        8,
        10,
    );
    let message = refused.expect_err("it is refused").to_string();
    for part in [
        "3 bad rows",
        "line 1",
        "line 2",
        "`psitive`, did you mean `positive`?",
        "line 4",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let refused = |label, problem| {
        let found = encode_classes(
            &rows(&[label]),
            &tokens(),
            problem,
            &set(&["a", "b"]),
            8,
            10,
        );
        found.expect_err("it is refused").to_string()
    };
    assert!(refused("[\"a\"]", ProblemType::SingleLabel).contains("list"));
    assert!(refused("\"a\"", ProblemType::Regression).contains("no number"));
    assert!(dataset("{\"text\":\"a\",\"label\":null}").is_err());
    assert!(dataset("{\"text\":\"a\",\"label\":{\"a\":1}}").is_err());
    for tagged in [
        "{\"tokens\":[\"a\"],\"tags\":[1,2]}",
        "{\"tokens\":[],\"tags\":[]}",
        "{\"tokens\":[\"a\",\"\"],\"tags\":[1,2]}",
        "{\"tokens\":\"a\",\"tags\":[1]}",
    ] {
        assert!(matches!(
            dataset(tagged),
            Err(TrainError::Rows { count: 1, .. })
        ));
    }
}

#[test]
fn the_problem_is_told_by_the_labels() {
    let of = |labels: &[&str]| ProblemType::of(&rows(labels));
    assert_eq!(of(&["\"a\"", "\"b\""]), ProblemType::SingleLabel);
    assert_eq!(of(&["0", "3"]), ProblemType::SingleLabel);
    assert_eq!(of(&["[\"a\"]", "[]"]), ProblemType::MultiLabel);
    assert_eq!(of(&["0.5", "3"]), ProblemType::Regression);
    assert_eq!(of(&["0.5", "\"a\""]), ProblemType::SingleLabel);
}

#[test]
fn a_task_names_the_rows_that_it_takes() {
    let refused = encode(&rows(&["1"]), &tokens(), &options(8, true));
    let message = refused.expect_err("it is refused").to_string();
    assert!(message.contains("a causal language model"), "{message}");
    let text = dataset("{\"text\":\"a\"}").expect("rows");
    let refused = encode_classes(
        &text,
        &tokens(),
        ProblemType::SingleLabel,
        &set(&["a"]),
        8,
        10,
    );
    assert!(matches!(refused, Err(TrainError::WrongTask { .. })));
    let refused = encode_classes(
        &rows(&["\"a\""]),
        &tokens(),
        ProblemType::SingleLabel,
        &set(&["a"]),
        8,
        5,
    );
    let message = refused.expect_err("it is refused").to_string();
    for part in ["line 1", "token 5"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}
