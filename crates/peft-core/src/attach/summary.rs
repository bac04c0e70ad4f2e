//! [`Summary`]: how much of a model trains, by module.

use std::fmt;

use burn::module::Module;
use serde::Serialize;

use crate::select::{ParamInfo, params};
use crate::{adapter_names, shared_matrices};

/// One line of a [`Summary`]: modules whose paths differ only in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryRow {
    /// The path, `*` for a layer's index.
    pub module: String,
    /// Parameters that train, those of adapters included.
    pub trainable: usize,
    /// All parameters, those of adapters included.
    pub total: usize,
}

/// How much of a model trains.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Parameters that train.
    pub trainable: usize,
    /// All parameters.
    pub total: usize,
    /// By module, in the model's order.
    pub modules: Vec<SummaryRow>,
}

impl Summary {
    /// Count the parameters of a model.
    pub fn of<M: Module>(model: &M) -> Self {
        let mut summary = Self {
            trainable: 0,
            total: 0,
            modules: Vec::new(),
        };
        for param in params(model) {
            let count = param.shape.num_elements();
            let trainable = if param.trainable { count } else { 0 };
            summary.add(collapsed(&param), trainable, count);
        }
        for adapter in adapter_names(model) {
            for (name, shared) in shared_matrices(model, &adapter) {
                let [rows, columns] = shared.value().dims();
                summary.add(format!("{adapter}.{name}"), 0, rows * columns);
            }
        }
        summary
    }

    fn add(&mut self, module: String, trainable: usize, total: usize) {
        self.total += total;
        self.trainable += trainable;
        let rows = &mut self.modules;
        match rows.iter_mut().find(|row| row.module == module) {
            Some(row) => {
                row.total += total;
                row.trainable += trainable;
            }
            None => rows.push(SummaryRow {
                module,
                trainable,
                total,
            }),
        }
    }

    /// Trainable parameters in percent of all.
    pub fn percent(&self) -> f64 {
        percent(self.trainable, self.total)
    }
}

/// The module of the adapted or plain parameter, with numbers replaced.
fn collapsed(param: &ParamInfo) -> String {
    let path = match &param.adapter {
        // ...q_proj.weight.adapters.NAME.lora_a belongs to ...q_proj.
        Some(adapter) => param
            .path
            .split_once(&format!(".adapters.{adapter}"))
            .and_then(|(owner, _)| owner.rsplit_once('.'))
            .map_or("", |(module, _)| module),
        None => param.module_path(),
    };
    path.split('.')
        .map(|segment| match segment.parse::<usize>() {
            Ok(_) => "*",
            Err(_) => segment,
        })
        .collect::<Vec<_>>()
        .join(".")
}

fn percent(part: usize, total: usize) -> f64 {
    if total == 0 {
        return 0.0;
    }
    100.0 * part as f64 / total as f64
}

/// A number with a comma between each three digits.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .modules
            .iter()
            .map(|row| row.module.len())
            .max()
            .unwrap_or(0)
            .max("module".len());
        writeln!(
            f,
            "{:width$}  {:>14}  {:>14}  {:>8}",
            "module", "trainable", "total", "%"
        )?;
        let total = SummaryRow {
            module: "total".into(),
            trainable: self.trainable,
            total: self.total,
        };
        for row in self.modules.iter().chain([&total]) {
            writeln!(
                f,
                "{:width$}  {:>14}  {:>14}  {:>8.3}",
                row.module,
                grouped(row.trainable),
                grouped(row.total),
                percent(row.trainable, row.total)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let numbers = [0, 12, 999, 1_000, 65_432, 999_999, 1_000_000, 1_235_814_400];
        let expected = [
            "0",
            "12",
            "999",
            "1,000",
            "65,432",
            "999,999",
            "1,000,000",
            "1,235,814,400",
        ];
        assert_eq!(numbers.map(grouped), expected);
    }

    #[test]
    fn columns_line_up() {
        let row = |module: &str, trainable, total| SummaryRow {
            module: module.into(),
            trainable,
            total,
        };
        let summary = Summary {
            trainable: 1_500,
            total: 1_201_500,
            modules: vec![row("q", 1_500, 1_200_000), row("a.longer.path", 0, 1_500)],
        };
        let table = summary.to_string();
        let widths: Vec<_> = table.lines().map(str::len).collect();
        assert_eq!(widths, [13 + 16 + 16 + 10; 4], "{table}");
        assert!(
            table.ends_with("total                   1,500       1,201,500     0.125\n"),
            "{table}"
        );
    }

    #[test]
    fn nothing_of_nothing_is_no_percent() {
        assert_eq!(percent(0, 0), 0.0);
        assert_eq!(percent(1, 8), 12.5);
    }
}
