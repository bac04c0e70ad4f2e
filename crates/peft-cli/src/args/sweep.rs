//! [`Sweep`]: a flag and the values to try.

use std::str::FromStr;

/// A flag of `train` and values that it is given, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// The flag, without its dashes.
    pub(crate) flag: String,
    /// At least two, all different.
    pub(crate) values: Vec<String>,
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it is a flag and two or more values, as in `lr=1e-4,3e-4,1e-3`".to_owned();
        let (flag, values) = text.split_once('=').ok_or_else(wrong)?;
        let flag = flag.trim().trim_start_matches('-').replace('_', "-");
        let values: Vec<String> = values.split(',').map(|value| value.trim().into()).collect();
        if flag.is_empty() || values.len() < 2 || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        for (i, value) in values.iter().enumerate() {
            // It names a directory.
            if value.contains(['/', '\\']) || value.starts_with('.') {
                return Err(format!("`{value}` cannot name a run's directory"));
            }
            if values[..i].contains(value) {
                return Err(format!("`{value}` is there twice"));
            }
        }
        Ok(Self { flag, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_and_values_are_read() {
        let sweep: Sweep = "lr=1e-4, 3e-4".parse().expect("a sweep");
        assert_eq!(sweep.flag, "lr");
        assert_eq!(sweep.values, ["1e-4", "3e-4"]);
        let wrong = [
            "",
            "lr",
            "lr=",
            "lr=1",
            "lr=1,,2",
            "=1,2",
            "lr=1,1",
            "lr=../a,b",
        ];
        for wrong in wrong {
            assert!(wrong.parse::<Sweep>().is_err(), "{wrong}");
        }
    }
}
