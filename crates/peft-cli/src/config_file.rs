//! `--config FILE.toml`: every flag of `train`, from a file.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction};
use toml::{Table, Value};

use crate::args::{Cli, TrainArgs};
use crate::error::CliError;

/// The settings of a run, in its directory, as a file that `--config` takes.
pub(crate) const RESOLVED: &str = "train.toml";
/// Flags that say where the others come from.
const NOT_IN_A_FILE: [&str; 7] = [
    "config", "resume", "sweep", "at-once", "runs", "lr-find", "help",
];
/// The largest such file that is read.
pub(crate) const LARGEST: u64 = 16 << 20;

/// The settings of a run as that file holds them. Paths are absolute, so that `--resume` finds them
/// from any directory.
pub(crate) fn resolved(args: &TrainArgs) -> Result<String, CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|source| CliError::Io {
            action: "resolve",
            path: path.into(),
            source,
        })
    };
    let mut kept = args.clone();
    kept.model.model = absolute(&args.model.model)?;
    let tokenizer = args.model.tokenizer.as_deref();
    kept.model.tokenizer = tokenizer.map(absolute).transpose()?;
    let token = args.model.token_file.as_deref();
    kept.model.token_file = token.map(absolute).transpose()?;
    for paths in [&mut kept.train, &mut kept.valid] {
        for path in paths {
            *path = absolute(path)?;
        }
    }
    kept.init_adapter = args.init_adapter.as_deref().map(absolute).transpose()?;
    kept.out = absolute(&args.out)?;
    let wrong = |error: &dyn std::fmt::Display| CliError::Usage(format!("the settings: {error}"));
    let text = toml::to_string(&kept).map_err(|error| wrong(&error))?;
    // TOML writes numbers that it does not read, those of 2⁶³ and more, and a run is to go on with
    // them.
    text.parse::<Table>().map_err(|error| wrong(&error))?;
    Ok(text)
}

/// The command line with the flags of its file put in. Flags that are given on the command line
/// itself win over the file's.
///
/// The file is the one that `--config` names; for `--resume`, the one that the run left in `--out`.
pub(crate) fn expand(args: Vec<OsString>) -> Result<Vec<OsString>, CliError> {
    if args.get(1).is_none_or(|verb| verb != "train") {
        return Ok(args);
    }
    let file = match (value(&args, "config"), value(&args, "out")) {
        (Some(file), _) => PathBuf::from(file),
        (None, Some(out)) if is_given(&args, "resume") => {
            let file = Path::new(out).join(RESOLVED);
            if !file.is_file() {
                let out = Path::new(out).display();
                return Err(CliError::Usage(format!("{out} holds no run to resume")));
            }
            file
        }
        _ => return Ok(args),
    };
    let cli = Cli::line();
    let mut expanded = args.clone();
    let mut of_file = Vec::new();
    for (arg, name, flag) in flags_of(&file, &of_train(&cli))? {
        // A base that is given anew is not called what the other one was.
        let named_anew = name == "base-name" && is_given(&args, "model");
        let names = arg.get_all_aliases().unwrap_or_default();
        let given = names
            .iter()
            .chain(arg.get_long().as_slice())
            .any(|name| is_given(&args, name));
        if given || named_anew {
            continue;
        }
        expanded.extend(flag.iter().map(OsString::from));
        of_file.push((name, flag));
    }
    // A value that its flag does not take is a mistake of the file's, where the file has it.
    if Cli::read(expanded.clone()).is_err() {
        for (key, flag) in of_file {
            if let Some(why) = refused_value(flag) {
                let file = file.display();
                return Err(CliError::Usage(format!("{file}: `{key}`: {why}")));
            }
        }
    }
    Ok(expanded)
}

/// Why a flag does not take its value, if it does not.
fn refused_value(flag: Vec<String>) -> Option<String> {
    let needed = "peft train --model x --train x --out x";
    let words = needed.split(' ').map(str::to_owned);
    let error = Cli::read(words.chain(flag)).err()?;
    let of_value = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
    of_value.contains(&error.kind()).then(|| in_a_line(&error))
}

/// What is wrong with a command line, without how it is called.
pub(crate) fn in_a_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.lines().take_while(|line| !line.is_empty());
    let said: Vec<&str> = said.map(str::trim).collect();
    said.join(" ").trim_start_matches("error: ").to_owned()
}

/// A flag, as it is named in a file, and the words that give it.
pub(crate) type Given<'a> = (&'a Arg, String, Vec<String>);

/// What a file of settings says.
pub(crate) fn flags_of<'a>(file: &Path, known: &[&'a Arg]) -> Result<Vec<Given<'a>>, CliError> {
    let text = peft_files::read_text(file, LARGEST).map_err(|source| CliError::Io {
        action: "read",
        path: file.into(),
        source,
    })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let reason = error.to_string();
        CliError::Usage(format!("{}: {}", file.display(), reason.trim_end()))
    })?;
    let flags = table.iter().map(|(key, value)| {
        let name = key.replace('_', "-");
        let Some(arg) = known.iter().find(|arg| is_called(arg, &name)) else {
            let names: Vec<String> = known
                .iter()
                .filter_map(|arg| arg.get_long().map(str::to_owned))
                .collect();
            let hint = peft_core::nearest(&name, &names)
                .map(|near| format!("did you mean `{near}`?"))
                .unwrap_or_else(|| format!("there are {}", names.join(", ")));
            return Err(CliError::Usage(format!(
                "{}: unknown key `{key}`; {hint}",
                file.display()
            )));
        };
        let flag = flag(arg, &name, value)
            .map_err(|reason| CliError::Usage(format!("{}: `{key}` {reason}", file.display())))?;
        Ok((*arg, name, flag))
    });
    flags.collect()
}

/// Whether a flag has this name, or this other name.
pub(crate) fn is_called(arg: &Arg, name: &str) -> bool {
    let others = arg.get_all_aliases().unwrap_or_default();
    arg.get_long() == Some(name) || others.contains(&name)
}

/// The flags of `train` that a file may have.
pub(crate) fn of_train(cli: &clap::Command) -> Vec<&Arg> {
    cli.find_subcommand("train")
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .filter(|arg| {
            arg.get_long()
                .is_some_and(|long| !NOT_IN_A_FILE.contains(&long))
        })
        .collect()
}

/// The flags that give `arg` this value, if it takes any to do so.
pub(crate) fn flag(arg: &Arg, name: &str, value: &Value) -> Result<Vec<String>, String> {
    match (value, arg.get_action().takes_values()) {
        (Value::Boolean(true), false) => return Ok(vec![format!("--{name}")]),
        (Value::Boolean(false), false) => return Ok(Vec::new()),
        (_, false) => return Err("must be true or false".into()),
        (Value::Boolean(_), true) => return Err("takes a value, not true or false".into()),
        _ => {}
    }
    let values = match value {
        Value::Array(values) => values.iter().map(scalar).collect(),
        value => scalar(value).map(|value| vec![value]),
    };
    let mut values: Vec<String> = values.ok_or("must be a string, a number or a list of those")?;
    // Values that nothing parts are given one by one, as paths, which may have any sign in them.
    let one_by_one =
        matches!(arg.get_action(), ArgAction::Append) && arg.get_value_delimiter().is_none();
    if !one_by_one && values.len() > 1 {
        values = vec![values.join(",")];
    }
    let flags = values.iter().map(|value| format!("--{name}={value}"));
    Ok(flags.collect())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_given(args: &[OsString], name: &str) -> bool {
    let (flag, start) = (format!("--{name}"), format!("--{name}="));
    args.iter()
        .any(|arg| *arg == *flag || arg.to_string_lossy().starts_with(&start))
}

/// The value of a flag, as its own argument or after `=`.
fn value<'a>(args: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let (flag, start) = (format!("--{name}"), format!("--{name}="));
    let at = args.iter().position(|arg| *arg == *flag);
    at.and_then(|at| args.get(at + 1))
        .map(OsString::as_os_str)
        .or_else(|| {
            let joined = args.iter().filter_map(|arg| arg.to_str());
            joined
                .filter_map(|arg| arg.strip_prefix(&start))
                .next()
                .map(OsStr::new)
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use peft_mutate::{Kind, check};

    use super::*;
    use crate::args::Verb;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn expanded(toml: &str, line: &str) -> Result<Vec<OsString>, CliError> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("run.toml");
        fs::write(&file, toml).expect("it is written");
        let mut args = words(line);
        args.push("--config".into());
        args.push(file.into());
        expand(args)
    }

    #[test]
    fn the_file_fills_in_and_the_command_line_wins() {
        let toml = "model = \"m\"\ntrain = 'a.jsonl'\nout = 'o'\nrank = 4\nlr = 1e-3\nrslora = true\n\
                    no_eos = false\ntargets = ['q_proj', 'v_proj']";
        let args = expanded(toml, "peft train --rank 16").expect("it expands");
        let cli = Cli::read(args).expect("it parses");
        let Some(Verb::Train(args)) = cli.verb else {
            panic!("it is `train`");
        };
        assert_eq!((args.of_method.rank, args.lr), (Some(16), Some(1e-3)));
        assert!(args.of_method.rslora);
        assert!(!args.no_eos);
        assert_eq!(args.of_method.targets, ["q_proj", "v_proj"]);
        assert_eq!(args.model.model, Path::new("m"));
    }

    #[test]
    fn a_key_may_be_a_flags_other_name() {
        let train = |line: &str| {
            let args = expanded("validation = ['a', 'b']", line).expect("it expands");
            match Cli::read(args).expect("it parses").verb {
                Some(Verb::Train(args)) => args.valid,
                _ => panic!("it is `train`"),
            }
        };
        let line = "peft train --model m --train t --out o";
        assert_eq!(train(line), [Path::new("a"), Path::new("b")]);
        for flag in ["valid", "validation"] {
            let given = train(&format!("{line} --{flag} c"));
            assert_eq!(given, [Path::new("c")], "{flag}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let message = |toml: &str| match expanded(toml, "peft train") {
            Err(error) => error.to_string(),
            Ok(args) => panic!("{args:?}"),
        };
        assert!(message("rnak = 4").contains("did you mean `rank`?"));
        assert!(message("rank = true").contains("takes a value"));
        assert!(message("rslora = 4").contains("true or false"));
        assert!(message("rank = { a = 1 }").contains("a number"));
        assert!(message("rank = ").contains("run.toml"));
        for (wrong, said) in [
            ("rank = 'four'", "run.toml: `rank`: invalid value 'four'"),
            (
                "method = 'lore'",
                "run.toml: `method`: invalid value 'lore'",
            ),
        ] {
            let found = message(wrong);
            assert!(found.contains(said) && !found.contains('\n'), "{found}");
        }
        assert!(message("resume = true").contains("unknown key"));
        // The command line wins over a value, and not over a mistake.
        for table in ["[train]\nlr = 1e-2", "[model]\nrank = 3"] {
            match expanded(table, "peft train --model m --train t") {
                Err(error) => assert!(error.to_string().contains("must be a string"), "{error}"),
                Ok(args) => panic!("{args:?}"),
            }
        }
    }

    #[test]
    fn resolved_settings_are_a_config_file_that_gives_them_again() {
        let line = "peft train --model m --train t --out o --rank 3 --rslora --lr 0.5 --targets a,b --seed 7";
        let parse = |args: Vec<OsString>| match Cli::read(args).expect("it parses").verb {
            Some(Verb::Train(args)) => toml::to_string(&args).expect("it is TOML"),
            _ => panic!("it is `train`"),
        };
        let resolved = parse(words(line));
        let again = parse(expanded(&resolved, "peft train").expect("it expands"));
        assert_eq!(resolved, again);
        assert!(resolved.contains("batch-size = 8"), "{resolved}");
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let resolved = |seed: &str| {
            let line = format!("peft train --model m --train t --out o --seed {seed}");
            match Cli::read(words(&line)).map(|cli| cli.verb) {
                Ok(Some(Verb::Train(args))) => resolved(&args),
                _ => panic!("it is `train`"),
            }
        };
        assert!(resolved("9223372036854775807").is_ok());
        let refused = resolved("9223372036854775808").expect_err("it is refused");
        assert!(refused.to_string().contains("seed"), "{refused}");
    }

    #[test]
    fn changed_files_are_read_or_refused() {
        let line = "peft train --model m --train t --out o --rank 3 --rslora --lr 0.5 --targets a,b --warmup 0.1";
        let Ok(Some(Verb::Train(args))) = Cli::read(words(line)).map(|cli| cli.verb) else {
            panic!("it is `train`");
        };
        let resolved = resolved(&args).expect("it is TOML").into_bytes();
        let sound = vec![[(RESOLVED.to_owned(), resolved)].into()];
        let settings = Kind::new("settings of a run", sound, |dir, _| {
            let mut args = words("peft train --config");
            args.push(dir.join(RESOLVED).into());
            crate::is_understood(args)
        });
        check(
            "config_file::tests::changed_files_are_read_or_refused",
            &[settings],
        );
    }
}
