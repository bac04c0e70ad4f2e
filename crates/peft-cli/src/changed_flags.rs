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
    let run = parsed(words).map(|run| beside(args, run));
    run.map_err(|reason| CliError::Usage(format!("{}: {reason}", file.display())))
}

/// What a run would be whose flags are those of another, but for these.
pub(crate) fn with_flags(
    args: &TrainArgs,
    changed: &[(&str, String)],
) -> Result<TrainArgs, CliError> {
    let wrong = |reason: String| CliError::Usage(reason);
    let cli = Cli::line();
    let known = of_train(&cli);
    let long = |name: &str| known.iter().find(|arg| is_called(arg, name))?.get_long();
    let names: Vec<&str> = changed.iter().filter_map(|(name, _)| long(name)).collect();
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
    parsed(words).map(|run| beside(args, run)).map_err(wrong)
}

/// The words that give these settings, but for some flags.
fn words_of(args: &TrainArgs, known: &[&Arg], without: &[&str]) -> Result<Vec<OsString>, CliError> {
    let wrong = |reason: String| CliError::Usage(reason);
    let table: Table = resolved(args)?
        .parse()
        .map_err(|error| wrong(format!("the settings: {error}")))?;
    let mut words: Vec<OsString> = vec!["peft".into(), "train".into()];
    for (key, value) in &table {
        let name = key.replace('_', "-");
        if without.contains(&name.as_str()) {
            continue;
        }
        let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(&name)) else {
            return Err(wrong(format!(
                "the settings have `{key}`, which is no flag"
            )));
        };
        let flag = flag(arg, &name, value).map_err(|reason| wrong(format!("{key} {reason}")))?;
        words.extend(flag.into_iter().map(OsString::from));
    }
    Ok(words)
}

/// The name of a flag of `train` that may be given by another of its names.
pub(crate) fn long_name(name: &str) -> Option<String> {
    let cli = Cli::line();
    let known = of_train(&cli);
    let arg = known.iter().find(|arg| is_called(arg, name))?;
    arg.get_long().map(str::to_owned)
}

/// What is no setting of a run, and what its base is called, as the other has them.
fn beside(args: &TrainArgs, mut run: TrainArgs) -> TrainArgs {
    run.model.any_size |= args.model.any_size;
    run.model.threads = run.model.threads.or(args.model.threads);
    let same = |a: &Path, b: &Path| std::path::absolute(a).ok() == std::path::absolute(b).ok();
    if run.base_name.is_none() && same(&run.model.model, &args.model.model) {
        run.base_name = Some(args.base_name());
    }
    run
}

/// What these words say of a run, or what is wrong with them.
fn parsed(words: Vec<OsString>) -> Result<TrainArgs, String> {
    match Cli::read(words).map(|cli| cli.verb) {
        Ok(Some(Verb::Train(args))) => Ok(*args),
        Ok(_) => Err("no settings of a run".into()),
        Err(error) => Err(in_a_line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(line: &str) -> TrainArgs {
        let words = line.split_whitespace().map(OsString::from);
        parsed(words.collect()).expect("settings of a run")
    }

    #[test]
    fn what_is_not_changed_stays() {
        let line = "peft train --model m --train t --out o --quantise q8 --quantise-embeddings \
                    --split-model --token-file f --any-size --threads 3 --rslora --target-modules a,b";
        let run = with_flags(&train(line), &[("lr", "0.5".into())]).expect("settings");
        assert_eq!((run.lr, run.base_name().as_str()), (Some(0.5), "m"));
        assert!(run.model.quantise_embeddings && run.model.split_model && run.model.any_size);
        assert!(run.model.token_file.is_some() && run.model.quantise.is_some());
        assert_eq!(run.model.threads, Some(3));
        // A flag by another of its names takes the place of what it had.
        let changed = [("target-modules", "c".into())];
        let run = with_flags(&train(line), &changed).expect("settings");
        assert_eq!(run.of_method.targets, ["c"]);
    }
}
