//! [`faults`]: how what a command did differs from what a page shows.

use std::process::Output;

use crate::page::Shown;

/// The verbs of which a page shows lines that do not depend on the model.
const PLAIN: [&str; 6] = ["train", "data", "plan", "doctor", "report", "inspect"];

/// What numbers are counted in.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "k", "M", "G"];

/// What differs.
pub(crate) fn faults(shown: &Shown, out: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&out.stderr);
    if shown
        .output
        .first()
        .is_some_and(|line| line.starts_with("error:"))
    {
        let (found, expected) = (alike(&said), alike(&shown.output.join("\n")));
        let mut wrong = Vec::new();
        if out.status.code() != Some(2) {
            wrong.push(format!(
                "ends with {}, and the page shows an error",
                out.status
            ));
        }
        if !found.ends_with(&expected) {
            wrong.push(format!("says {found}, and the page shows {expected}"));
        }
        return wrong;
    }
    if !out.status.success() {
        return vec![format!("ends with {}: {said}", out.status)];
    }
    let verb = shown
        .command
        .split("peft ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    if !verb.is_some_and(|verb| PLAIN.contains(&verb)) {
        return Vec::new();
    }
    let printed = format!("{}\n{said}", String::from_utf8_lossy(&out.stdout));
    let printed: Vec<String> = printed.lines().map(alike).collect();
    let plain = shown.output.iter().filter(|line| is_plain(line));
    // A small model's line may end before a clause of a large one's, and another build's go on.
    let is_there = |line: &str| {
        let of = |printed: &String| {
            let clause = line.strip_prefix(printed.as_str());
            printed.starts_with(line) || clause.is_some_and(|rest| rest.starts_with(';'))
        };
        printed.iter().any(of)
    };
    let lost = plain.filter(|line| !is_there(&alike(line)));
    let lost: Vec<&String> = lost.collect();
    match lost.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "prints no lines like\n{lost:#?}\nbut\n{printed:#?}"
        )],
    }
}

/// Whether a line is the command's own words, and no text of the model's or a row's.
fn is_plain(line: &str) -> bool {
    let is_blank = line.trim().is_empty() || line == "...";
    // Of memory not every system tells.
    if !cfg!(target_os = "linux") && line.starts_with("memory") {
        return false;
    }
    !is_blank && (!line.starts_with(' ') || line.starts_with("  peft "))
}

/// A text without what differs from model to model: numbers are `#`, without what they count,
/// spaces are one.
fn alike(text: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || ".,".contains(c);
    let words = text.split_whitespace().map(|word| {
        let mut of_word = String::new();
        let mut chars = word.chars().peekable();
        while let Some(c) = chars.next() {
            if !c.is_ascii_digit() {
                of_word.push(c);
                continue;
            }
            of_word.push('#');
            // With an exponent, as in 3.33e-4.
            while let Some(next) = chars.next_if(|c| is_number(*c) || *c == 'e') {
                if next == 'e' {
                    chars.next_if_eq(&'-');
                }
            }
        }
        of_word
    });
    let mut all: Vec<String> = Vec::new();
    for word in words {
        let is_unit = UNITS.contains(&word.trim_end_matches([',', ';', ')']));
        match all.last_mut().filter(|last| is_unit && last.ends_with('#')) {
            Some(last) => last.push_str(word.trim_start_matches(char::is_alphabetic)),
            None => all.push(word),
        }
    }
    all.join(" ")
}
