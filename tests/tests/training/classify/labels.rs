//! Labels of rows: what they name, and what is refused.

use peft_train::{
    Dataset, LabelSet, ListReading, ProblemType, Target, TextTokenizer, TrainError, encode,
    encode_classes,
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
    let examples = encoded.expect("it encodes").examples.to_vec();
    let examples = examples.expect("they are read").into_iter();
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
    assert_eq!(found.names(), ["false", "true"]);
    let found = LabelSet::of(&rows(&["\"True\"", "true", "false"])).expect("a set");
    assert_eq!(found.names(), ["True", "false"]);
    let found = LabelSet::of(&rows(&["\"0\"", "1", "\"2\"", "\"a\""])).expect("a set");
    assert_eq!(found.names(), ["0", "1", "2", "a"]);
    let refused = LabelSet::of(&rows(&["true", "1", "0"])).expect_err("it is refused");
    assert!(refused.to_string().contains("other rows have numbers"));
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
fn true_and_false_are_the_classes_of_that_name() {
    let of = |names: &[&str]| {
        let written = ["true", "false"];
        targets(&written, ProblemType::SingleLabel, &set(names))
    };
    assert_eq!(of(&["True", "False"]), [0, 1].map(Target::Class));
    assert_eq!(of(&["FALSE", "other", "TRUE"]), [2, 0].map(Target::Class));
    // Else the numbers that they are, which have the reading of numbers.
    assert_eq!(of(&["neg", "pos"]), [1, 0].map(Target::Class));
    let swapped = set(&["1", "0"]);
    let named = targets(&["true", "\"0\"", "1"], ProblemType::SingleLabel, &swapped);
    assert_eq!(named, [0, 1, 0].map(Target::Class));
    let refused = encode_classes(
        &rows(&["true"]),
        &tokens(),
        ProblemType::SingleLabel,
        &set(&["a", "b", "c"]),
        8,
        10,
    );
    let message = refused.expect_err("it is refused").to_string();
    assert!(message.contains("no class is called so"), "{message}");
    let found = targets(
        &["true", "[0.5]", "[2]"],
        ProblemType::Regression,
        &set(&["v"]),
    );
    assert_eq!(found, [1.0, 0.5, 2.0].map(Target::Value));
}

#[test]
fn lists_of_a_file_name_classes_or_say_0_or_1_of_each() {
    let multi = ProblemType::MultiLabel;
    let two = set(&["a", "b"]);
    let each = [[false, true], [true, false]].map(|on| Target::Classes(on.to_vec()));
    for rows in [
        ["[0,1]", "[1,0]"],
        ["[false,true]", "[true,false]"],
        ["[0.0,1.0]", "[1,0]"],
    ] {
        assert_eq!(targets(&rows, multi, &two), each);
        let of = LabelSet::of(&self::rows(&rows)).expect("a set");
        assert_eq!(of.names(), ["LABEL_0", "LABEL_1"]);
        assert_eq!(of.lists(), ListReading::Each);
    }
    let ids = |labels: &[&str], names: &[&str]| targets(labels, multi, &set(names));
    let named = |on: [bool; 3]| Target::Classes(on.to_vec());
    assert_eq!(
        ids(&["[0,1]", "[1,0]"], &["a", "b", "c"]),
        [named([true, true, false]), named([true, true, false])]
    );
    assert_eq!(
        ids(&["[0,0,1]", "[1,1,1]"], &["a", "b", "c"]),
        [named([false, false, true]), named([true, true, true])]
    );
    assert_eq!(
        ids(&["[0,1,2]", "[2]"], &["a", "b", "c"]),
        [named([true, true, true]), named([false, false, true])]
    );
    // Of one class, a 1 is no id.
    let one = [true, false].map(|on| Target::Classes(vec![on]));
    assert_eq!(ids(&["[1]", "[0]"], &["a"]), one);
    let named = [true, true].map(|on| Target::Classes(vec![on]));
    assert_eq!(ids(&["[0]", "[0]"], &["a"]), named);
    // What a run has settled for its rows holds for others of it.
    let train = rows(&["[0]", "[0,1]"]);
    let settled = two.settled(&[&train]).expect("a reading");
    let both = [Target::Classes(vec![true, true])];
    assert_eq!(targets(&["[0,1]"], multi, &settled), both);
    let refused = encode_classes(
        &rows(&["[true,false]", "[true]"]),
        &tokens(),
        multi,
        &two,
        8,
        10,
    );
    let message = refused.expect_err("it is refused").to_string();
    assert!(message.contains("each of the 2 classes"), "{message}");
    assert!(LabelSet::of(&rows(&["[true,false]", "[true]"])).is_err());
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
    let of = |labels: &[&str]| ProblemType::of(&rows(labels)).expect("they are read");
    assert_eq!(of(&["\"a\"", "\"b\""]), ProblemType::SingleLabel);
    assert_eq!(of(&["0", "3"]), ProblemType::SingleLabel);
    assert_eq!(of(&["[\"a\"]", "[]"]), ProblemType::MultiLabel);
    assert_eq!(of(&["0.5", "3"]), ProblemType::Regression);
    assert_eq!(of(&["[0.5]", "[3]"]), ProblemType::Regression);
    assert_eq!(of(&["[0.0,1.0]"]), ProblemType::MultiLabel);
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
