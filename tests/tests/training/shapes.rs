//! Rows as the field writes them: the shapes that are known, the columns and templates that flags
//! name, and the files that hold them.

use std::fs;
use std::path::PathBuf;

use peft_train::{
    ColumnNames, Dataset, EncodeOptions, PromptTemplate, Row, RowKind, RowOptions, TextTokenizer,
    TrainTurns, encode,
};
use serde_json::{Value, json};

use super::data::dataset;

fn read(rows: &[Value], options: &RowOptions) -> Result<Dataset, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rows.jsonl");
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(&path, lines).expect("it is written");
    Dataset::read_all(&[path], options).map_err(|error| error.to_string())
}

fn one(row: &Value) -> Row {
    let found = dataset(&row.to_string()).expect("a row");
    found.row(0).expect("it is read")
}

fn all(found: &Dataset) -> Vec<Row> {
    let rows: Result<_, _> = found.rows().collect();
    rows.expect("they are read")
}

fn with_columns(pairs: &[&str]) -> RowOptions {
    let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
    RowOptions {
        columns: ColumnNames::parse(&pairs).expect("columns"),
        ..RowOptions::default()
    }
}

#[test]
fn share_gpt_is_a_conversation() {
    let plain = json!({ "messages": [
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "", "tool_calls": [
            { "type": "function", "function": { "name": "f", "arguments": { "x": 1 } } },
        ] },
        { "role": "tool", "content": "3" },
        { "role": "assistant", "content": "b", "weight": 0 },
    ], "tools": [{ "name": "f" }] });
    let turns = json!([
        { "from": "human", "value": "a" },
        { "from": "function_call", "value": r#"{"name": "f", "arguments": {"x": 1}}"# },
        { "from": "observation", "value": "3" },
        { "from": "gpt", "value": "b", "weight": 0 },
    ]);
    let shared =
        json!({ "conversations": turns, "system": "be brief", "tools": "[{\"name\": \"f\"}]" });
    assert_eq!(one(&shared), one(&plain));
    let written =
        json!({ "messages": turns.to_string(), "system": "be brief", "tools": [{ "name": "f" }] });
    assert_eq!(one(&written), one(&plain));
    let openai = json!({ "conversations": plain["messages"], "tools": plain["tools"] });
    assert_eq!(one(&openai), one(&plain));
}

#[test]
fn instructions_are_alpacas_and_dollys() {
    let alpaca =
        json!({ "instruction": "add", "input": "1 2", "output": "3", "text": "all of it" });
    let dolly =
        json!({ "instruction": "add", "context": "1 2", "response": "3", "category": "sums" });
    let Row::Instruction(row) = one(&alpaca) else {
        panic!("it is an instruction");
    };
    assert_eq!(one(&dolly), Row::Instruction(row.clone()));
    assert_eq!(row.request(), "add\n1 2");
    assert!(
        row.prompt()
            .ends_with("### Instruction:\nadd\n\n### Input:\n1 2\n\n### Response:\n")
    );
    let read = dataset(&alpaca.to_string()).expect("a row");
    assert_eq!(read.left_alone(), ["text"]);
    let Row::Instruction(alone) =
        one(&json!({ "instruction": "sing", "output": "la", "input": "" }))
    else {
        panic!("it is an instruction");
    };
    assert!(
        alone
            .prompt()
            .ends_with("request.\n\n### Instruction:\nsing\n\n### Response:\n")
    );
    assert_eq!(alone.messages().len(), 2);
}

/// An instruction trains as the conversation or the prompt and completion that it is.
#[test]
fn an_instruction_has_the_tokens_of_what_it_is() {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/chat");
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let mut text = fs::read_to_string(goldens.join(file)).expect("a file");
        if file == "tokenizer_config.json" {
            let mut config: Value = serde_json::from_str(&text).expect("JSON");
            config
                .as_object_mut()
                .expect("an object")
                .remove("chat_template");
            text = config.to_string();
        }
        fs::write(dir.path().join(file), text).expect("it is written");
    }
    let bare = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert!(!bare.has_chat_template());
    let template = "{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant {% endif %}";
    fs::write(dir.path().join("chat_template.jinja"), template).expect("it is written");
    let chat = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    let row = json!({ "instruction": "hi", "input": "a", "output": "b", "system": "b a" });
    let Row::Instruction(of) = one(&row) else {
        panic!("it is an instruction");
    };
    let messages = json!({ "messages": [
        { "role": "system", "content": "b a" },
        { "role": "user", "content": "hi\na" },
        { "role": "assistant", "content": "b" },
    ] });
    let completion = json!({ "prompt": of.prompt(), "completion": "b" });
    for (tokenizer, same) in [(&chat, messages), (&bare, completion)] {
        let options = EncodeOptions {
            max_length: 1000,
            append_eos: true,
            vocab_size: tokenizer.vocab_size(),
        };
        let encoded = |row: &Value| {
            let rows = dataset(&row.to_string()).expect("a row");
            let encoded = encode(&rows, tokenizer, &options).expect("it is encoded");
            encoded.examples.to_vec().expect("they are read")
        };
        assert_eq!(encoded(&row), encoded(&same));
    }
}

#[test]
fn columns_have_the_names_that_are_given() {
    let row = json!({ "question": "a", "answer": "b", "prompt": "other", "text": "t", "id": 3 });
    let found = read(
        std::slice::from_ref(&row),
        &with_columns(&["prompt=question", "completion=answer"]),
    );
    let found = found.expect("rows");
    let plain = one(&json!({ "prompt": "a", "completion": "b" }));
    assert_eq!(all(&found), [plain]);
    assert_eq!(found.left_alone(), ["text", "id"]);
    let swapped = json!({ "prompt": "b", "completion": "a" });
    let found = read(
        &[swapped],
        &with_columns(&["prompt=completion", "completion=prompt"]),
    );
    let expected = one(&json!({ "prompt": "a", "completion": "b" }));
    assert_eq!(all(&found.expect("rows")), [expected]);
    let error = read(&[row], &with_columns(&["prompt=qestion"])).expect_err("no such column");
    assert!(
        error.contains("line 1: has no column `qestion`, did you mean `question`?"),
        "{error}"
    );
}

#[test]
fn a_template_makes_the_prompt() {
    let options = RowOptions {
        template: Some(PromptTemplate::parse("Q: {question}\n{{{n}}} ").expect("a template")),
        ..with_columns(&["completion=answer"])
    };
    let row = json!({ "question": "a", "answer": "b", "n": 3, "text": "t" });
    let found = read(&[row], &options).expect("rows");
    let expected = one(&json!({ "prompt": "Q: a\n{3} ", "completion": "b" }));
    assert_eq!(all(&found), [expected]);
    assert_eq!(found.left_alone(), ["text"]);
    // Of instructions it takes the place of Alpaca's.
    let options = RowOptions {
        template: Some(PromptTemplate::parse("{instruction}:").expect("a template")),
        ..RowOptions::default()
    };
    let row = json!({ "instruction": "sing", "output": "la" });
    let found = read(&[row], &options).expect("rows");
    let expected = one(&json!({ "prompt": "sing:", "completion": "la" }));
    assert_eq!(all(&found), [expected]);
    let error = read(&[json!({ "instrction": "a", "output": "b" })], &options).expect_err("none");
    assert!(error.contains("did you mean `instrction`?"), "{error}");
}

#[test]
fn conversations_are_given_a_system_and_the_turns_that_train() {
    let turns = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "c", "train": true },
    ]);
    let options = RowOptions {
        system: Some("be brief".into()),
        turns: TrainTurns::Last,
        ..RowOptions::default()
    };
    let found = read(&[json!({ "messages": turns })], &options).expect("rows");
    let mut expected = turns.clone();
    expected[1]["weight"] = json!(0);
    let mut expected = expected.as_array().expect("a list").clone();
    expected.insert(0, json!({ "role": "system", "content": "be brief" }));
    assert_eq!(all(&found), [one(&json!({ "messages": expected }))]);
    let own = json!({ "messages": [
        { "role": "system", "content": "sing" },
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
    ] });
    assert_eq!(
        all(&read(std::slice::from_ref(&own), &options).expect("rows")),
        [one(&own)]
    );
    for (row, part) in [
        (
            json!({ "text": "a" }),
            "the choice of turns that train takes",
        ),
        (
            json!({ "prompt": "a", "completion": "b" }),
            "the choice of turns",
        ),
    ] {
        let error = read(&[row], &options).expect_err("no conversation");
        assert!(error.contains(part), "{error}");
    }
    let marked = json!({ "messages": [
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b", "train": 0 },
    ] });
    let error = read(&[marked], &RowOptions::default()).expect_err("no flag");
    assert!(error.contains("message 2 has the `train` 0"), "{error}");
}

#[test]
fn several_files_are_one_set() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("it is written");
        path
    };
    let a = write(
        "a.jsonl",
        "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n",
    );
    let b = write("b.csv", "text,label,id\nc,1,x\nd,-0.5,y\n");
    let both = [a.clone(), b.clone()];
    let found = Dataset::read_all(&both, &RowOptions::default()).expect("rows");
    let expected = json!([["a", 1], ["b", 0], ["c", 1], ["d", -0.5]]);
    let rows = expected.as_array().expect("rows").iter();
    let rows: Vec<Row> = rows
        .map(|row| one(&json!({ "text": row[0], "label": row[1] })))
        .collect();
    assert_eq!(all(&found), rows);
    assert_eq!(found.left_alone(), ["id"]);
    assert_eq!(found.shown_place(3), format!("{}, line 3", b.display()));
    let of_dir = Dataset::read(dir.path()).expect("rows");
    assert_eq!(all(&of_dir), rows);
    for most in 1..5 {
        let options = RowOptions {
            max_rows: Some(most),
            ..RowOptions::default()
        };
        let found = Dataset::read_all(&both, &options).expect("rows");
        assert_eq!(all(&found), &rows[..most]);
    }
    let c = write("c.json", "[{\"text\": \"e\"}, 3]");
    let error = Dataset::read_all(&[a, c.clone()], &RowOptions::default()).expect_err("two kinds");
    let error = error.to_string();
    for part in [
        format!(
            "{}, row 1: is {{\"text\"}}, but the rows before",
            c.display()
        ),
        format!("{}, row 2: not an object", c.display()),
    ] {
        assert!(error.contains(&part), "{part} is not in {error}");
    }
}

/// Cells of a table are what JSON has in their place.
#[test]
fn cells_have_the_types_that_they_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let csv = |text: &str| {
        let path = dir.path().join("rows.csv");
        fs::write(&path, text).expect("it is written");
        Dataset::read(&path).map_err(|error| error.to_string())
    };
    let messages =
        json!([{ "role": "user", "content": "a, \"b\"" }, { "role": "assistant", "content": "c" }]);
    let quoted = |value: &Value| format!("\"{}\"", value.to_string().replace('"', "\"\""));
    for (text, row) in [
        (
            "text,label\n42,True\n".to_owned(),
            json!({ "text": "42", "label": true }),
        ),
        (
            "text,label\na,007\n".to_owned(),
            json!({ "text": "a", "label": "007" }),
        ),
        (
            "text,label\na,\"[\"\"x\"\"]\"\n".to_owned(),
            json!({ "text": "a", "label": ["x"] }),
        ),
        (
            format!("messages,tools\n{},\n", quoted(&messages)),
            json!({ "messages": messages }),
        ),
        (
            format!("conversations\n{}\n", quoted(&messages)),
            json!({ "messages": messages }),
        ),
        (
            "tokens,tags\n\"[\"\"a\"\"]\",[1]\n".to_owned(),
            json!({ "tokens": ["a"], "tags": [1] }),
        ),
        (
            format!(
                "prompt,completion\n{},{}\n",
                quoted(&json!([messages[0]])),
                quoted(&json!([messages[1]]))
            ),
            json!({ "prompt": [messages[0]], "completion": [messages[1]] }),
        ),
        (
            "prompt,completion\n[{x}],[1]\n".to_owned(),
            json!({ "prompt": "[{x}]", "completion": "[1]" }),
        ),
    ] {
        assert_eq!(all(&csv(&text).expect("rows")), [one(&row)], "{text}");
    }
    let python = csv("messages\n\"[{'role': 'user'}]\"\n").expect_err("no JSON");
    assert!(python.contains("Python's own writing"), "{python}");
    let empty = csv("text,label\na,\n").expect_err("no label");
    assert!(empty.contains("line 2: `label` is empty"), "{empty}");
    assert_eq!(csv("text\na\n").expect("rows").kind(), RowKind::Text);
}

#[test]
fn a_split_is_decided_row_by_row() {
    let rows: Vec<Value> = (0..400)
        .map(|i| json!({ "text": format!("row {i}") }))
        .collect();
    let of = |n: usize| read(&rows[..n], &RowOptions::default()).expect("rows");
    let (train, valid) = of(400).split(0.25, 7).expect("two parts");
    assert_eq!(train.len() + valid.len(), 400);
    assert!((70..130).contains(&valid.len()), "{}", valid.len());
    assert!(valid.shared_with(&train).expect("they are read").is_empty());
    // Of fewer rows the same are taken.
    let (_, fewer) = of(200).split(0.25, 7).expect("two parts");
    assert_eq!(all(&fewer), &all(&valid)[..fewer.len()]);
    assert!((30..70).contains(&fewer.len()));
    let (_, other) = of(400).split(0.25, 8).expect("two parts");
    assert_ne!(all(&other), all(&valid));
    let (_, more) = of(400).split(0.5, 7).expect("two parts");
    assert_eq!(
        valid.shared_with(&more).expect("they are read").len(),
        valid.len()
    );
    for (taken, n) in [(0.0, 400), (1.0, 400), (f64::NAN, 400), (0.001, 2)] {
        let error = of(n).split(taken, 7).expect_err("no two parts");
        assert!(error.to_string().contains("split is"), "{error}");
    }
}

#[test]
fn rows_that_are_there_twice_are_found() {
    let row = |text: &str| json!({ "text": text });
    let train = read(
        &["a", "b", "a", "c", "b", "a"].map(row),
        &RowOptions::default(),
    );
    let train = train.expect("rows");
    assert_eq!(
        train.repeated().expect("they are read"),
        [(2, 0), (4, 1), (5, 0)]
    );
    let valid = read(&["d", "b", "d", "a"].map(row), &RowOptions::default()).expect("rows");
    assert_eq!(
        valid.shared_with(&train).expect("they are read"),
        [(1, 1), (3, 0)]
    );
}
