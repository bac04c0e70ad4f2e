//! The book is run: the commands of each page, in their order, in a directory of their own, with
//! small things in place of what they name. They end well, or with the error that the page shows;
//! what the page shows of their output is what they print, but for numbers and names.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod given;
mod links;
mod page;
mod shown;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use self::given::Given;
use self::page::{Page, Shown, names};

/// Commands that are not run, by a part of each, and why.
const NOT_RUN: [(&str, &str); 9] = [
    ("hf download ", "needs a network"),
    (
        "cd fuzz",
        "goes to a package of its own, which is built there",
    ),
    ("cargo ", "builds what is tested here"),
    ("python ", "needs PyTorch and a model of 135 M parameters"),
    ("llama-cli ", "is llama.cpp's"),
    (
        "openssl ",
        "is not ours; the file that it makes is of no use here",
    ),
    (
        "peft worker ",
        "serves until it is ended; tests/remote runs it",
    ),
    (
        ",remote:ws://",
        "needs two machines; tests/remote runs it on one",
    ),
    (
        "peft  ",
        "takes minutes in a debug build; tests/default_run.rs runs it",
    ),
];

/// Words that are others here, and why.
const OTHERS: [(&str, &str, &str); 3] = [
    (
        "49152,49153",
        "4096,4097",
        "the small model has fewer tokens",
    ),
    ("--memory 1GB", "--memory 50MB", "it is small"),
    (
        "cuda:0,cuda:1",
        "flex,ndarray",
        "these are in each build of the tests",
    ),
];

/// Why a command is not run.
fn left_out(shown: &Shown) -> Option<usize> {
    // The command without a verb is one that ends there.
    let command = format!(
        "{}  ",
        shown.command.split('#').next().unwrap_or_default().trim()
    );
    NOT_RUN.iter().position(|(part, _)| command.contains(part))
}

/// The command as it is run here.
fn command(shown: &Shown) -> String {
    let mut command = shown.command.clone();
    for (word, by, _) in OTHERS {
        command = command.replace(word, by);
    }
    command
}

fn run(command: &str, place: &Path) -> Output {
    let path = std::env::var("PATH").expect("a path");
    Command::new("bash")
        .args(["-c", &format!("set -o pipefail\n{command}")])
        .env("PATH", format!("{}:{path}", place.join(".bin").display()))
        .current_dir(place)
        .output()
        .expect("bash")
}

fn run_page(name: &str) {
    let page = Page::read(name);
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    fs::create_dir(place.join(".bin")).expect("a directory");
    symlink(env!("CARGO_BIN_EXE_peft"), place.join(".bin/peft")).expect("a link");
    Given::get().lay(&page, place);
    let mut wrong = Vec::new();
    for shown in &page.commands {
        if left_out(shown).is_some() {
            continue;
        }
        // A file that nothing made holds what the page shows of it.
        if let Some(file) = shown
            .command
            .strip_prefix("cat ")
            .map(|file| place.join(file))
            && !file.exists()
        {
            fs::write(file, shown.output.join("\n")).expect("it is written");
            continue;
        }
        let command = command(shown);
        let out = run(&command, place);
        for fault in shown::faults(shown, &out) {
            wrong.push(format!("docs/{name}:{}: {command}\n  {fault}", shown.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        /// The pages that are run.
        const PAGES: &[&str] = &[$($page),*];
        $(
            #[test]
            fn $test() {
                run_page($page);
            }
        )*
    };
}

pages! {
    readme: "README.md",
    start: "start.md",
    classification: "classification.md",
    methods: "methods.md",
    data: "data.md",
    training: "training.md",
    talking: "talking.md",
    plan: "plan.md",
    quantised: "quantised.md",
    scale: "scale.md",
    elsewhere: "elsewhere.md",
    gguf: "gguf.md",
    benchmarks: "benchmarks.md",
}

#[test]
fn all_that_is_shown_is_run_or_left_out_with_a_reason() {
    let pages: Vec<Page> = names().iter().map(|name| Page::read(name)).collect();
    let mut run = Vec::new();
    let mut used = [false; NOT_RUN.len()];
    for page in &pages {
        for shown in &page.commands {
            match left_out(shown) {
                Some(at) => used[at] = true,
                None => run.push(page.name.as_str()),
            }
        }
    }
    for (used, (part, why)) in used.iter().zip(NOT_RUN) {
        assert!(used, "no page has `{part}`, which {why}");
    }
    for (word, _, _) in OTHERS {
        let has = |page: &Page| {
            page.commands
                .iter()
                .any(|shown| shown.command.contains(word))
        };
        assert!(pages.iter().any(has), "no page has `{word}`");
    }
    run.dedup();
    assert_eq!(
        run, PAGES,
        "the pages with commands, in the order of the book"
    );
    assert_eq!(
        Given::unused(&pages),
        Vec::<&str>::new(),
        "stand in for nothing"
    );
}
