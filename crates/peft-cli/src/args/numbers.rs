//! [`numeric`]: flags that take numbers, with messages that say which.

use std::any::TypeId;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Arg;
use clap::error::ErrorKind;

use super::Cli;
use super::method::EveryArg;

/// The flag, and where it takes a number, one with any sign: a minus is no flag, so that what is
/// said is what is allowed.
pub(super) fn numeric(arg: Arg) -> Arg {
    let kind = arg.get_value_parser().type_id();
    if kind == TypeId::of::<usize>() {
        arg.value_parser(whole::<usize>).allow_hyphen_values(true)
    } else if kind == TypeId::of::<u64>() {
        arg.value_parser(whole::<u64>).allow_hyphen_values(true)
    } else if kind == TypeId::of::<NonZeroUsize>() {
        arg.value_parser(counted).allow_hyphen_values(true)
    } else if kind == TypeId::of::<f64>() {
        arg.value_parser(real).allow_hyphen_values(true)
    } else if kind == TypeId::of::<EveryArg>() {
        arg.allow_hyphen_values(true)
    } else {
        arg
    }
}

/// What is said where a number was forgotten, so that the next flag stands for it, and what that
/// flag was given stands for nothing.
pub(super) fn forgotten(words: &[OsString]) -> Option<clap::Error> {
    let line = Cli::line();
    let (mut verb, mut verbs) = (&line, 0);
    let name = |at: usize| words.get(at).and_then(|word| word.to_str());
    while let Some(within) = name(verbs + 1).and_then(|name| verb.find_subcommand(name)) {
        (verb, verbs) = (within, verbs + 1);
    }
    let is_flag = |word: &OsString| word.to_string_lossy().starts_with("--");
    let pairs = words.windows(2).filter(|pair| pair.iter().all(is_flag));
    pairs.into_iter().find_map(|pair| {
        let words = words[..=verbs].iter().chain(pair);
        let error = Cli::line().try_get_matches_from(words).err()?;
        (error.kind() == ErrorKind::ValueValidation).then_some(error)
    })
}

fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let most = u64::MAX;
    parsed(
        text,
        &format!("it is a whole number of at least 0 and at most {most}"),
    )
}

fn counted(text: &str) -> Result<NonZeroUsize, String> {
    parsed(text, "it is a whole number of at least 1")
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
    use super::*;

    /// What is said of a value that the flag does not take, whatever else is missing.
    fn refused(verb: &str, flag: &str, value: &str) -> Option<clap::Error> {
        let words = ["peft"].into_iter().chain(verb.split(' '));
        let words = words.map(str::to_owned);
        let error = Cli::read(words.chain([format!("--{flag}"), value.into()])).err()?;
        let of_value = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
        of_value.contains(&error.kind()).then_some(error)
    }

    /// Every verb that has flags, with them.
    fn verbs() -> Vec<(String, Vec<String>)> {
        let flags = |verb: &clap::Command| {
            let longs = verb.get_arguments().filter_map(clap::Arg::get_long);
            longs.map(str::to_owned).collect::<Vec<_>>()
        };
        let line = Cli::line();
        let named = line.get_subcommands().flat_map(|verb| {
            let within = verb.get_subcommands().map(move |inner| {
                let name = format!("{} {}", verb.get_name(), inner.get_name());
                (name, flags(inner))
            });
            within.chain([(verb.get_name().to_owned(), flags(verb))])
        });
        named.collect()
    }

    #[test]
    fn a_forgotten_number_is_said_to_be_so() {
        for (line, flag) in [
            ("peft train --model m --train t --alpha --out o", "alpha"),
            ("peft generate --model m --top-p --prompt p", "top-p"),
            ("peft data check f --show --model m", "show"),
        ] {
            let Err(error) = Cli::read(line.split(' ')) else {
                panic!("{line} is taken");
            };
            let said = error.to_string();
            let part = format!("for '--{flag} <");
            assert!(
                said.contains(&part) && said.contains("is another flag"),
                "{said}"
            );
        }
        let Err(error) = Cli::read(["peft", "train", "--rank", "4", "--bogus"]) else {
            panic!("it is taken");
        };
        assert_eq!(error.kind(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn numbers_of_any_sign_are_read_as_numbers() {
        let mut found = Vec::new();
        for (verb, flags) in verbs() {
            for flag in flags {
                // What takes a number and no word is numeric.
                let is_numeric =
                    refused(&verb, &flag, "1").is_none() && refused(&verb, &flag, "word").is_some();
                if !is_numeric {
                    continue;
                }
                found.push(format!("{verb} {flag}"));
                for value in ["-1", "-0.5", "-1e-5", "-inf", "0", "--json", "word"] {
                    let Some(error) = refused(&verb, &flag, value) else {
                        continue;
                    };
                    let said = error.to_string();
                    assert_eq!(error.kind(), ErrorKind::ValueValidation, "{said}");
                    let part = format!("invalid value '{value}' for '--{flag} <");
                    assert!(said.contains(&part) && said.contains(": it is a"), "{said}");
                }
            }
        }
        assert!(found.len() >= 60, "{found:?}");
        for known in [
            "train lr",
            "train every",
            "eval batch-size",
            "generate seed",
            "data check show",
            "export rank",
            "combine weights",
        ] {
            assert!(found.iter().any(|flag| flag == known), "{known}: {found:?}");
        }
    }
}
