//! [`numeric`]: flags that take numbers, with messages that say which.

use std::any::TypeId;
use std::str::FromStr;

use clap::Arg;

use super::method::EveryArg;

/// The flag, and where it takes a number, one with any sign: a minus is no flag, so that what is
/// said is what is allowed.
pub(super) fn numeric(arg: Arg) -> Arg {
    let kind = arg.get_value_parser().type_id();
    if kind == TypeId::of::<usize>() {
        arg.value_parser(whole::<usize>).allow_hyphen_values(true)
    } else if kind == TypeId::of::<u64>() {
        arg.value_parser(whole::<u64>).allow_hyphen_values(true)
    } else if kind == TypeId::of::<f64>() {
        arg.value_parser(real).allow_hyphen_values(true)
    } else if kind == TypeId::of::<EveryArg>() {
        arg.allow_hyphen_values(true)
    } else {
        arg
    }
}

fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let most = u64::MAX;
    parsed(
        text,
        &format!("it is a whole number of at least 0 and at most {most}"),
    )
}

fn real(text: &str) -> Result<f64, String> {
    parsed(text, "it is a number, as 0.5 or 1e-4")
}

fn parsed<T: FromStr>(text: &str, wanted: &str) -> Result<T, String> {
    text.parse().map_err(|_| match text.starts_with("--") {
        true => format!("{wanted}, and {text} is another flag"),
        false => wanted.into(),
    })
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use crate::args::Cli;

    /// Whether the flag takes this, after what its verb needs.
    fn taken(verb: &str, flag: &str, value: &str) -> Result<(), clap::Error> {
        let needed: &[&str] = match verb {
            "train" => &["model", "train", "out"],
            "eval" => &["model", "data"],
            "generate" => &["model", "prompt"],
            "merge" => &["model", "adapter", "out"],
            _ => &[],
        };
        let mut words = vec!["peft".to_owned(), verb.to_owned()];
        for name in needed.iter().filter(|name| **name != flag) {
            words.extend([format!("--{name}"), "x".into()]);
        }
        words.extend([format!("--{flag}"), value.into()]);
        Cli::read(words).map(|_| ())
    }

    #[test]
    fn numbers_of_any_sign_are_read_as_numbers() {
        let (mut found, mut verbs) = (Vec::new(), 0);
        for verb in Cli::line().get_subcommands() {
            verbs += 1;
            for flag in verb.get_arguments().filter_map(clap::Arg::get_long) {
                let verb = verb.get_name();
                // What takes a number and no word is numeric.
                if taken(verb, flag, "1").is_err() || taken(verb, flag, "word").is_ok() {
                    continue;
                }
                found.push(format!("{verb} {flag}"));
                for value in ["-1", "-0.5", "-1e-5", "-inf", "--json", "word"] {
                    let Err(error) = taken(verb, flag, value) else {
                        continue;
                    };
                    let said = error.to_string();
                    assert_eq!(error.kind(), ErrorKind::ValueValidation, "{said}");
                    let part = format!("invalid value '{value}' for '--{flag} <");
                    assert!(said.contains(&part) && said.contains(": it is a"), "{said}");
                }
            }
        }
        assert!(verbs >= 5 && found.len() >= 28, "{found:?}");
        for known in [
            "train lr",
            "train every",
            "eval batch-size",
            "generate seed",
        ] {
            assert!(found.iter().any(|flag| flag == known), "{known}: {found:?}");
        }
    }
}
