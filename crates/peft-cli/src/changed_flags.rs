//! Settings of a run that are those of another, but for some flags.

use std::ffi::OsString;
use std::path::Path;

use clap::Arg;
use toml::Table;

use crate::args::{Cli, TrainArgs, Verb};
use crate::config_file::{flag, flags_of, in_a_line, is_called, of_train, resolved};
use crate::error::CliError;

/// What a run would be whose flags are those of another, but for what a file of settings says.
pub(crate) fn changed_by(args: &TrainArgs, file: &Path) -> Result<TrainArgs, CliError> {
    let cli = Cli::line();
    let known = of_train(&cli);
    let flags = flags_of(file, &known)?;
    let changed: Vec<&str> = flags
        .iter()
        .filter_map(|(arg, ..)| arg.get_long())
        .collect();
    let mut words = words_of(args, &known, &changed)?;
    words.extend(
        flags
            .into_iter()
            .flat_map(|(.., flag)| flag)
            .map(OsString::from),
    );
    parsed(words).map_err(|reason| CliError::Usage(format!("{}: {reason}", file.display())))
}

/// What a run would be whose flags are those of another, but for these.
pub(crate) fn with_flags(
    args: &TrainArgs,
    changed: &[(&str, String)],
) -> Result<TrainArgs, CliError> {
    let wrong = |reason: String| CliError::Usage(reason);
    let cli = Cli::line();
    let known = of_train(&cli);
    let names: Vec<&str> = changed.iter().map(|(name, _)| *name).collect();
    let mut words = words_of(args, &known, &names)?;
    for (name, value) in changed {
        let Some(arg) = known.iter().find(|arg| is_called(arg, name)) else {
            let names = known
                .iter()
                .filter_map(|arg| arg.get_long().map(str::to_owned));
            let names: Vec<String> = names.collect();
            let hint = peft_core::nearest(name, &names)
                .map_or_else(String::new, |near| format!("; did you mean --{near}?"));
            return Err(wrong(format!("`train` has no --{name}{hint}")));
        };
        if !arg.get_action().takes_values() {
            return Err(wrong(format!("--{name} takes no value")));
        }
        words.push(format!("--{name}={value}").into());
    }
    parsed(words).map_err(wrong)
}

/// The words that give these settings, but for some flags.
fn words_of(args: &TrainArgs, known: &[&Arg], without: &[&str]) -> Result<Vec<OsString>, CliError> {
    let wrong = |reason: String| CliError::Usage(reason);
    let table: Table = resolved(args)?
        .parse()
        .map_err(|error| wrong(format!("the settings: {error}")))?;
    let mut words: Vec<OsString> = vec!["peft".into(), "train".into()];
    for (key, value) in table
        .iter()
        .filter(|(key, _)| !without.contains(&key.as_str()))
    {
        if let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(key)) {
            let flag = flag(arg, key, value).map_err(|reason| wrong(format!("{key} {reason}")))?;
            words.extend(flag.into_iter().map(OsString::from));
        }
    }
    Ok(words)
}

/// What these words say of a run, or what is wrong with them.
fn parsed(words: Vec<OsString>) -> Result<TrainArgs, String> {
    match Cli::read(words).map(|cli| cli.verb) {
        Ok(Some(Verb::Train(args))) => Ok(*args),
        Ok(_) => Err("no settings of a run".into()),
        Err(error) => Err(in_a_line(&error)),
    }
}
