//! Rows beyond what is kept of them in memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use burn::tensor::Device;
use peft_models::DecoderConfig;
use peft_tests::Unwatched;
use peft_tests::measured::grown_kib;
use peft_train::{
    Dataset, EncodeOptions, Example, ExampleStore, NextToken, TextTokenizer, TrainConfig, Trainer,
    encode,
};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;

use super::{PROBE, measured};

/// What is kept of a file's rows, and of their examples, in memory.
const KEPT_KIB: usize = 64 << 10;
/// What else a step needs: the model, the tokenizer, indices of the rows.
const BESIDE_KIB: usize = 24 << 10;
/// The text of a row in the file.
const ROW: usize = 100 << 10;

/// Reading, comparing, splitting, encoding and training: the peak is the same for twice the rows.
pub(super) fn a_file_of_rows_need_not_fit_in_memory(device: &Device) {
    let case = "a_file_of_rows_need_not_fit_in_memory";
    if let Ok(probe) = std::env::var(PROBE) {
        let growth = match probe.strip_prefix("examples ") {
            Some(rows) => of_examples(rows.parse().expect("a number")),
            None => of_rows(device, Path::new(&probe)),
        };
        println!("\ngrowth_kib={growth}");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let of = |rows: usize| {
        let path = dir.path().join(format!("{rows}.jsonl"));
        write_rows(&path, rows);
        measured(device, case, path.to_str().expect("UTF-8"))
    };
    let [rows, twice] = [700, 1400].map(of);
    println!("{device:?}: of 70 MB of rows {rows} KiB, of 140 MB {twice} KiB");
    let [examples, more] =
        [700, 1400].map(|rows| measured(device, case, &format!("examples {rows}")));
    println!("{device:?}: of 700 long examples {examples} KiB, of 1400 {more} KiB");
    for (once, twice) in [(rows, twice), (examples, more)] {
        assert!(once < KEPT_KIB + BESIDE_KIB, "{once} KiB");
        assert!(twice < once + BESIDE_KIB, "{twice} KiB after {once} KiB");
    }
}

fn write_rows(path: &Path, rows: usize) {
    let text = "a b c d e f g h ".repeat(ROW / 16);
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    for row in 0..rows {
        // The last one is the first one again.
        let row = row % (rows - 1);
        writeln!(file, "{{\"text\": \"{row} {text}\"}}").expect("it is written");
    }
    file.flush().expect("it is written");
}

fn of_rows(device: &Device, path: &Path) -> usize {
    let tokenizer = tokenizer();
    let options = EncodeOptions {
        max_length: 16,
        append_eos: false,
        vocab_size: 10,
    };
    let device = device.clone().autodiff();
    grown_kib(|| {
        let rows = Dataset::read(path).expect("rows");
        assert_eq!(rows.repeated().expect("they are read").len(), 1);
        let (train, valid) = rows.split(0.1, 1).expect("two parts");
        let of = |rows| {
            encode(rows, &tokenizer, &options)
                .expect("it encodes")
                .examples
        };
        train_a_step(&device, &of(&train), Some(&of(&valid)));
    })
}

/// So many examples, most of them of 32768 tokens.
fn of_examples(rows: usize) -> usize {
    let long = |_| Example::new(vec![70_000; 1 << 15], vec![true; 1 << 15]);
    let short = |i: usize| Example::new(vec![i as u32 % 10; 16], vec![false; 16]);
    grown_kib(|| {
        let examples = (0..rows).map(|i| if i % 10 == 0 { short(i) } else { long(i) });
        let examples = ExampleStore::of(examples).expect("they are kept");
        let of = |i: usize| examples.examples().get(i).expect("it is read");
        assert_eq!(*of(rows - 1), long(rows - 1));
        assert_eq!(*of(rows - 10), short(rows - 10));
        assert_eq!(examples.examples().n_targets(1), 1 << 15);
    })
}

fn train_a_step(
    device: &Device,
    train: &ExampleStore<Example>,
    valid: Option<&ExampleStore<Example>>,
) {
    let model = DecoderConfig::llama(10, 16, 32, 2, 2).init(device);
    let config = TrainConfig {
        batch_size: 8,
        max_steps: Some(1),
        ..TrainConfig::default()
    };
    let trainer = Trainer::new(&config, train).with_validation(valid);
    let run = trainer.run(model, &NextToken, &mut Unwatched);
    run.expect("it trains");
}

/// One token a word.
fn tokenizer() -> TextTokenizer {
    let words = ["a", "b", "c", "d", "e", "f", "g", "h", "0", "?"];
    let vocabulary = (0u32..).zip(words).map(|(id, word)| (word.to_owned(), id));
    let model = WordLevel::builder()
        .vocab(vocabulary.collect())
        .unk_token("?".into())
        .build()
        .expect("a model");
    let mut inner = Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(WhitespaceSplit));
    TextTokenizer::new(inner, None, None, None).expect("a tokenizer")
}
