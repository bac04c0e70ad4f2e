//! [`Findings`]: what is wrong with rows, or may be.

use peft_train::{Dataset, RowKind, TextTokenizer, TrainError};
use serde_json::{Value, json};

use super::checked::{Checked, ROLES};
use crate::commands::print_line;
use crate::error::CliError;
use crate::say::clean;

/// Rows that a finding names.
pub(super) const NAMED: usize = 5;

/// What is wrong with rows, or may be.
pub(super) struct Findings {
    all: Vec<Finding>,
}

struct Finding {
    /// Its name for programs.
    name: &'static str,
    rows: usize,
    /// Whether a run would be wrong.
    wrong: bool,
    text: String,
    /// The first of the rows, as messages name them.
    named: Vec<String>,
}

/// Rows with their check.
type Of<'a> = (&'a Dataset, &'a Checked);

impl Findings {
    pub(super) fn of(
        train: Of<'_>,
        valid: Option<Of<'_>>,
        tokenizer: &TextTokenizer,
    ) -> Result<Self, TrainError> {
        let mut found = Self { all: Vec::new() };
        found.add_rows(train, "training", tokenizer);
        let repeated = train.0.repeated()?;
        found.add(
            "repeated",
            repeated.len(),
            false,
            "rows are there already",
            || pairs((train.0, train.0), &repeated),
        );
        if let Some(valid) = valid {
            found.add_rows(valid, "validation", tokenizer);
            let shared = valid.0.shared_with(train.0)?;
            let most = shared.len() * 2 > valid.1.rows;
            let text = "validation rows are training rows too, so that the validation loss says nothing of new rows";
            found.add("leaked", shared.len(), most, text, || {
                pairs((valid.0, train.0), &shared)
            });
        }
        Ok(found)
    }

    fn add_rows(&mut self, (rows, checked): Of<'_>, what: &str, tokenizer: &TextTokenizer) {
        let named = |indices: &[usize]| -> Vec<String> {
            let indices = indices.iter().take(NAMED);
            indices.map(|row| rows.shown_place(*row)).collect()
        };
        let all = |n: usize| n >= checked.rows;
        let text = format!("{what} rows cannot be read by the model");
        self.add("refused", checked.refused, true, &text, || {
            let first = checked.first_refused.iter();
            first
                .map(|(row, why)| format!("{}: {why}", rows.shown_place(*row)))
                .collect()
        });
        let n = checked.targetless.len();
        let text = format!("{what} rows have no target and are left out");
        self.add("without target", n, all(n), &text, || {
            named(&checked.targetless)
        });
        let n = checked.cut.len();
        let text = format!("{what} rows are cut; raise --max-length to keep all of them");
        self.add("cut", n, false, &text, || named(&checked.cut));
        let n = checked.unknown.len();
        let text = format!("{what} rows have what the tokenizer has no token for");
        self.add("unknown tokens", n, all(n), &text, || {
            named(&checked.unknown)
        });
        let n = checked.replaced.len();
        let text = format!(
            "{what} rows have the sign U+FFFD, which stands for what could not be read: they were not UTF-8 before"
        );
        self.add("not utf-8", n, false, &text, || named(&checked.replaced));
        let text = format!(
            "{what} rows have a turn of a role that chat templates do not have as a rule: it does not train, and may be left out"
        );
        self.add("roles", checked.foreign, false, &text, || {
            let known = ROLES.map(str::to_owned);
            let first = checked.first_foreign.iter();
            first
                .map(|(row, role)| {
                    let near = peft_core::nearest(role, &known);
                    let near = near.map(|near| format!(", did you mean `{near}`?"));
                    let (place, near) = (rows.shown_place(*row), near.unwrap_or_default());
                    format!("{place}: `{role}`{near}")
                })
                .collect()
        });
        let n = checked.otherwise.len();
        let why = match rows.kind() {
            RowKind::Completion => {
                "; a prompt that ends with a space gives it to the next word's token, so let the completion begin with it"
            }
            _ => "; the chat template writes a turn otherwise when it asks for it",
        };
        let text = format!(
            "of {} {what} rows begin otherwise in training than generation shows them to the model{why}",
            checked.compared
        );
        let most = n * 2 > checked.compared;
        self.add("asked otherwise", n, most, &text, || {
            let first = checked.otherwise.iter().take(NAMED);
            let line = |text: &str| clean(text).replace('\n', "⏎");
            first
                .map(|(row, parting)| {
                    format!(
                        "{}: token {} is `{}` in training and `{}` when it is asked",
                        rows.shown_place(*row),
                        parting.at,
                        line(&parting.trained),
                        line(&parting.asked)
                    )
                })
                .collect()
        });
        let n = checked.joined.len();
        let text = format!(
            "{what} rows have nothing between prompt and completion: let the completion begin with a space or the prompt end with a line, as --template $'{{prompt}}\\n' does"
        );
        self.add("joined", n, false, &text, || named(&checked.joined));
        if what == "training" && rows.kind() == RowKind::Completion && tokenizer.has_chat_template()
        {
            self.all.push(Finding {
                name: "without template",
                rows: checked.rows,
                wrong: false,
                text: "the model has a chat template, and these rows are trained without it: ask with `generate --raw`, or read them as turns, by --columns instruction=prompt,output=completion".into(),
                named: Vec::new(),
            });
        }
    }

    fn add(
        &mut self,
        name: &'static str,
        rows: usize,
        wrong: bool,
        text: &str,
        named: impl FnOnce() -> Vec<String>,
    ) {
        if rows > 0 {
            self.all.push(Finding {
                name,
                rows,
                wrong,
                text: format!("{rows} {text}"),
                named: named(),
            });
        }
    }

    /// Whether a run would be wrong.
    pub(super) fn is_wrong(&self) -> bool {
        self.all.iter().any(|finding| finding.wrong)
    }

    pub(super) fn report(&self) -> Value {
        let all = self.all.iter();
        all.map(|finding| {
            json!({
                "name": finding.name, "rows": finding.rows, "wrong": finding.wrong,
                "text": finding.text, "first": finding.named,
            })
        })
        .collect()
    }

    pub(super) fn print(&self) -> Result<(), CliError> {
        if self.all.is_empty() {
            return print_line("nothing is wrong");
        }
        for finding in &self.all {
            let kind = if finding.wrong { "wrong" } else { "note" };
            print_line(format!("{kind}: {}", finding.text))?;
            for row in &finding.named {
                print_line(format!("  {}", clean(row)))?;
            }
            if finding.named.len() == NAMED && finding.rows > NAMED {
                print_line(format!("  and {} more", finding.rows - NAMED))?;
            }
        }
        Ok(())
    }
}

/// Rows with the first that they are like.
fn pairs((rows, other): (&Dataset, &Dataset), found: &[(usize, usize)]) -> Vec<String> {
    let first = found.iter().take(NAMED);
    first
        .map(|(row, like)| format!("{} is {}", rows.shown_place(*row), other.shown_place(*like)))
        .collect()
}
