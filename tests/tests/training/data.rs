//! Rows to tokens: which of them are targets, and which rows are refused.

use std::collections::BTreeMap;
use std::path::Path;

use peft_train::{
    Dataset, EncodeOptions, EncodedExamples, TextTokenizer, TrainError, encode, pack, plan,
};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

pub(super) const WORDS: [&str; 10] = ["<s>", "</s>", "<u>", "<a>", "a", "b", "c", "d", "e", "f"];
const TEMPLATE: &str = "<s>{% for message in messages %} {% if message.role == 'user' %}<u>{% else %}<a>{% endif %} \
                        {{ message.content }} </s>{% endfor %}{% if add_generation_prompt %} <a>{% endif %}";

/// One token a word; a text begins with `<s>`.
pub(super) fn tokenizer(template: &str) -> TextTokenizer {
    let vocabulary = (0u32..).zip(WORDS).map(|(id, word)| (word.to_owned(), id));
    let model = WordLevel::builder()
        .vocab(vocabulary.collect())
        .unk_token("f".into())
        .build()
        .expect("a model");
    let mut inner = Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(WhitespaceSplit));
    let special = WORDS[..4].iter().map(|word| AddedToken::from(*word, true));
    inner.add_special_tokens(&special.collect::<Vec<_>>());
    let begin = TemplateProcessing::builder()
        .try_single("<s> $A")
        .expect("a template")
        .special_tokens(vec![("<s>", 0)])
        .build()
        .expect("a template");
    inner.with_post_processor(Some(begin));
    let special = |word: &str| Some(word.to_owned());
    TextTokenizer::new(inner, special("<s>"), special("</s>"), special(template))
        .expect("a tokenizer")
}

pub(super) fn dataset(rows: &str) -> Result<Dataset, TrainError> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rows.jsonl");
    std::fs::write(&path, rows).expect("it is written");
    Dataset::read(path)
}

pub(super) fn options(max_length: usize, append_eos: bool) -> EncodeOptions {
    EncodeOptions {
        max_length,
        append_eos,
        vocab_size: WORDS.len(),
    }
}

fn encoded(rows: &str, options: &EncodeOptions) -> EncodedExamples {
    let dataset = dataset(rows).expect("rows");
    encode(&dataset, &tokenizer(TEMPLATE), options).expect("it encodes")
}

/// Tokens as words; targets in brackets.
fn shown(encoded: &EncodedExamples) -> Vec<String> {
    let word = |(id, target): (&u32, &bool)| match (WORDS[*id as usize], target) {
        (word, true) => format!("[{word}]"),
        (word, false) => word.to_owned(),
    };
    let row = |example: &peft_train::Example| -> String {
        let words: Vec<String> = example.ids.iter().zip(&example.targets).map(word).collect();
        words.join(" ")
    };
    let examples = encoded.examples.to_vec().expect("they are read");
    examples.iter().map(row).collect()
}

#[test]
fn of_a_text_every_token_is_a_target_but_the_first() {
    let found = encoded(
        "{\"text\":\"a b c\"}\n\n{\"text\":\"d\"}\n",
        &options(8, true),
    );
    assert_eq!(shown(&found), ["<s> [a] [b] [c]", "<s> [d]"]);
}

#[test]
fn of_a_completion_it_and_the_end_are_targets() {
    let rows = r#"{"prompt":"a b","completion":" c d"}"#;
    let found = encoded(rows, &options(8, true));
    assert_eq!(shown(&found), ["<s> a b [c] [d] [</s>]"]);
    let found = encoded(rows, &options(8, false));
    assert_eq!(shown(&found), ["<s> a b [c] [d]"]);
}

#[test]
fn of_a_conversation_the_assistants_turns_are_targets() {
    let rows = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b c"},
        {"role":"user","content":"d"},{"role":"assistant","content":"e"}]}"#;
    let found = encoded(&rows.replace('\n', ""), &options(20, true));
    assert_eq!(
        shown(&found),
        ["<s> <u> a </s> <a> [b] [c] [</s>] <u> d </s> <a> [e] [</s>]"]
    );
}

#[test]
fn a_template_that_rewrites_what_came_before_is_refused() {
    let unstable = "{% if messages | length > 1 %}b{% else %}a{% endif %} ".to_owned() + TEMPLATE;
    let rows = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
    let dataset = dataset(rows).expect("rows");
    let refused = encode(&dataset, &tokenizer(&unstable), &options(20, true));
    let message = refused.expect_err("it is refused").to_string();
    for part in ["line 1", "message 2", "{% generation %}"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn long_rows_are_cut_and_rows_without_targets_left_out() {
    let rows = "{\"prompt\":\"a b c d\",\"completion\":\" e\"}\n{\"prompt\":\"a\",\"completion\":\" b c d e\"}\n";
    let found = encoded(rows, &options(4, true));
    assert_eq!(shown(&found), ["<s> a [b] [c]"]);
    assert_eq!((found.truncated, found.dropped), (2, 1));
    let dataset = dataset(rows.lines().next().expect("a row")).expect("rows");
    let refused = encode(&dataset, &tokenizer(TEMPLATE), &options(4, true));
    assert!(matches!(
        refused,
        Err(TrainError::NoTargets { max_length: 4, .. })
    ));
}

#[test]
fn a_token_beyond_the_models_vocabulary_is_refused() {
    let dataset = dataset("{\"text\":\"a e\"}").expect("rows");
    let small = EncodeOptions {
        vocab_size: 8,
        ..options(8, true)
    };
    let refused = encode(&dataset, &tokenizer(TEMPLATE), &small);
    let message = refused.expect_err("it is refused").to_string();
    for part in ["line 1", "token 8", "vocabulary has 8"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

/// A mistake in a flag is one of every row.
#[test]
fn rows_that_are_wrong_by_the_same_are_counted() {
    let rows = "{\"text\":3}\nnonsense\n{\"text\":4}\n{\"text\":5}\n";
    let message = dataset(rows).expect_err("they are refused").to_string();
    assert!(message.contains("4 bad rows"), "{message}");
    assert!(message.contains("line 1 and 2 more: `text`"), "{message}");
    assert!(message.contains("line 2: "), "{message}");
    assert!(!message.contains("line 3"), "{message}");
    let message = dataset("nonsense\n")
        .expect_err("it is refused")
        .to_string();
    assert!(message.contains("1 bad row:"), "{message}");
}

#[test]
fn bad_rows_are_named_together() {
    let rows = "{\"text\":\"a\"}\nnonsense\n{\"txet\":\"a\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}\n[1]\n{\"text\":3}\n{\"text\":\"\"}\n";
    let message = dataset(rows).expect_err("they are refused").to_string();
    for part in [
        "6 bad rows",
        "line 2",
        "line 3",
        "did you mean `text`",
        "line 4",
        "line 5",
        "line 6",
        "line 7",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert!(matches!(dataset("\n\n"), Err(TrainError::Empty { .. })));
    let missing = Dataset::read(Path::new("no/such/file"));
    assert!(matches!(missing, Err(TrainError::Io { .. })));
}

#[test]
fn an_epoch_takes_every_row_once_in_an_order_of_its_own() {
    let lengths: Vec<usize> = super::examples(53)
        .iter()
        .map(|row| row.ids.len())
        .collect();
    let epoch = |epoch, seed| plan(&lengths, 4, seed, epoch);
    let (first, second) = (epoch(0, 1), epoch(1, 1));
    for batches in [&first, &second] {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for row in batches.iter().flatten() {
            *counts.entry(*row).or_default() += 1;
        }
        assert_eq!(counts.len(), 53);
        assert!(counts.values().all(|n| *n == 1));
        assert_eq!(batches.len(), 14);
    }
    assert_ne!(first, second);
    assert_ne!(first, epoch(0, 2));
    assert_eq!(first, epoch(0, 1));
}

#[test]
fn packing_keeps_every_sequence_and_fills_rows() {
    let examples = super::examples(100);
    let longest = examples.iter().map(|example| example.ids.len()).max();
    let rows = pack(&examples, 32);
    let mut found = Vec::new();
    for row in &rows {
        assert!(row.ids.len() <= 32);
        let length = row.ids.len();
        let ends = row.starts[1..].iter().chain([&length]);
        for (start, end) in row.starts.iter().zip(ends) {
            found.push((
                row.ids[*start..*end].to_vec(),
                row.targets[*start..*end].to_vec(),
            ));
        }
    }
    let mut expected: Vec<_> = examples
        .iter()
        .map(|e| (e.ids.clone(), e.targets.clone()))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let tokens: usize = examples.iter().map(|example| example.ids.len()).sum();
    assert!(rows.len() <= tokens.div_ceil(32) + 1, "{} rows", rows.len());
    // Nothing fits beside the longest, and nothing is cut.
    assert_eq!(
        pack(&examples, 1).iter().map(|row| row.ids.len()).max(),
        longest
    );
}

#[test]
fn files_of_other_kinds_are_named() {
    for (text, part) in [
        ("{\n \"text\": \"a\"\n}", "over several lines"),
        ("text,label\na,1\n", "CSV"),
        ("text\tlabel\na\t1\n", "tabs"),
        ("PAR1xyz", "Parquet"),
    ] {
        let error = dataset(text).expect_err("it is refused");
        assert!(matches!(error, TrainError::DataFile(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let deep = format!("{{\"text\":{}", "[".repeat(100_000));
    for row in [&deep, "{\"text\":\"a\u{0}\"}"] {
        assert!(matches!(dataset(row), Err(TrainError::Rows { .. })));
    }
    // Half a character, which Python reads.
    assert!(dataset("{\"text\":\"\\ud800\"}").is_ok());
}
