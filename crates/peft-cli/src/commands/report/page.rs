//! The page: HTML with its pictures in it.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::chart::{Line, LineChart};
use crate::commands::run_record::{Points, RunRecord};
use crate::error::CliError;

/// What a page of this command has in it.
pub(super) const MARK: &str = "<!-- peft report -->";

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;\
padding:0 1rem;color:#1a1a1a}table{border-collapse:collapse;margin:.6rem 0 1.4rem}\
th,td{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;vertical-align:top;\
overflow-wrap:break-word}td.n{text-align:right;white-space:nowrap;\
font-variant-numeric:tabular-nums}th{background:#f3f3f3}figure{margin:0}\
.answers{table-layout:fixed;width:100%}svg{max-width:100%;height:auto}.charts{display:grid;\
grid-template-columns:repeat(auto-fit,minmax(26rem,1fr));gap:1rem}h2{margin-top:2rem}\
.note{color:#a33}";

/// The loss is shown as the mean of so many steps' share of a run.
const SMOOTH: usize = 40;

/// Figures of evaluations that are not curves beside the others: counts, and the loss and its
/// exponential.
const COUNTS: [&str; 5] = ["examples", "tokens", "targets", "loss", "perplexity"];

pub(super) fn page(runs: &[RunRecord]) -> Result<String, CliError> {
    let mut html = format!(
        "<!doctype html>\n{MARK}\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style>\
</head><body>\n<h1>Training report</h1>\n",
        escaped(
            &runs
                .iter()
                .map(|run| run.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )
    );
    put(&mut html, outcomes(runs));
    for run in runs.iter().filter(|run| run.damaged > 0) {
        put(
            &mut html,
            format!(
                "<p class=\"note\">{}: {} damaged lines of its metrics are left out.</p>\n",
                escaped(&run.name),
                run.damaged
            ),
        );
    }
    put(&mut html, "<div class=\"charts\">\n".into());
    for chart in charts(runs) {
        put(&mut html, format!("<figure>{}</figure>\n", chart.svg()?));
    }
    put(&mut html, "</div>\n".into());
    runs.iter().for_each(|run| put(&mut html, samples(run)));
    put(&mut html, settings(runs));
    put(&mut html, "</body></html>\n".into());
    Ok(html)
}

fn put(html: &mut String, text: String) {
    html.push_str(&text);
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// A row for each run: what it began at, and came to.
fn outcomes(runs: &[RunRecord]) -> String {
    let mut html = String::from(
        "<table><tr><th>run</th><th>method</th><th>steps</th><th>training loss</th>\
<th>validation loss before</th><th>best</th><th>at step</th><th>minutes</th>\
<th>memory, MB (planned)</th><th>s a step (planned)</th></tr>\n",
    );
    for run in runs {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
        };
        let cost = |name: &str, unit: f64, digits: usize| {
            let of = |name: &str| RunRecord::last(&run.cost, name).map(|value| value / unit);
            let planned = of(&format!("planned_{name}"));
            match (of(name), planned) {
                (used, None) => number(used, digits),
                (used, planned) => {
                    format!("{} ({})", number(used, digits), number(planned, digits))
                }
            }
        };
        let of_all = run.planned.filter(|planned| *planned != run.steps());
        let steps = match of_all {
            Some(planned) => format!("{} of {planned}", run.steps()),
            None => run.steps().to_string(),
        };
        let method = run.settings.get("method").map_or("–", String::as_str);
        let cells = [
            steps,
            number(RunRecord::last(&run.train, "loss"), 4),
            number(run.valid_loss(0.0), 4),
            number(run.best_loss(), 4),
            number(run.best, 0),
            number(run.seconds().map(|seconds| seconds / 60.0), 1),
            cost("memory", 1e6, 0),
            cost("seconds", 1.0, 2),
        ];
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td>",
            escaped(&run.name),
            escaped(method)
        );
        for cell in cells {
            let _ = write!(html, "<td class=\"n\">{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    html
}

fn charts(runs: &[RunRecord]) -> Vec<LineChart<'static>> {
    let alone = runs.len() == 1;
    let named = |run: &RunRecord, what: &str| match alone {
        true => what.to_owned(),
        false => format!("{}, {what}", run.name),
    };
    let of = |title, select: &dyn Fn(&RunRecord) -> Vec<Line>| LineChart {
        title,
        x: "step",
        log_x: false,
        lines: runs.iter().flat_map(select).collect(),
    };
    let line = |name: String, points: Option<&Points>, marked| {
        points.map(|points| Line {
            name,
            points: points.clone(),
            marked,
        })
    };
    let mut charts = vec![
        of("Loss", &|run| {
            let training = run.train.get("loss").map(|points| Line {
                name: named(run, "training"),
                points: smoothed(points),
                marked: false,
            });
            let valid = line(named(run, "validation"), run.valid.get("loss"), true);
            training.into_iter().chain(valid).collect()
        }),
        of("Learning rate", &|run| {
            let of = run.train.get("learning_rate");
            line(named(run, "learning rate"), of, false)
                .into_iter()
                .collect()
        }),
        of("Norm of the gradients", &|run| {
            let of = run.train.get("grad_norm");
            line(named(run, "before clipping"), of, false)
                .into_iter()
                .collect()
        }),
    ];
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.valid.keys()).collect();
    let measures: Vec<&String> = names
        .into_iter()
        .filter(|name| !COUNTS.contains(&name.as_str()))
        .collect();
    if !measures.is_empty() {
        charts.push(of("Validation", &|run| {
            let lines = measures
                .iter()
                .filter_map(|name| line(named(run, name), run.valid.get(*name), true));
            lines.collect()
        }));
    }
    charts.retain(|chart| !chart.lines.is_empty());
    charts
}

/// What the model answered at the first evaluation, and at the best or else the last; nothing where
/// that was not kept.
fn samples(run: &RunRecord) -> String {
    let best = run.samples.iter().find(|(step, _)| Some(*step) == run.best);
    let (Some(first), Some(after)) = (run.samples.first(), best.or(run.samples.last())) else {
        return String::new();
    };
    let mut html = format!(
        "<h2>Answers of {}</h2>\n<table class=\"answers\"><tr><th>to</th><th>step {}</th><th>step {}</th>\
<th>the row's own</th></tr>\n",
        escaped(&run.name),
        first.0,
        after.0
    );
    for (first, after) in first.1.iter().zip(&after.1) {
        let cells = [
            &first["prompt"],
            &first["answer"],
            &after["answer"],
            &first["expected"],
        ];
        html.push_str("<tr>");
        for cell in cells {
            let text = escaped(cell.as_str().unwrap_or("–"));
            let _ = write!(html, "<td>{text}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    html
}

/// Means over the steps before each, a fortieth of the run.
fn smoothed(points: &Points) -> Points {
    let width = (points.len() / SMOOTH).max(1);
    let mean = |i: usize| {
        let run = &points[(i + 1).saturating_sub(width)..=i];
        run.iter().map(|point| point.1).sum::<f64>() / run.len() as f64
    };
    (0..points.len()).map(|i| (points[i].0, mean(i))).collect()
}

/// What differs first, then all.
fn settings(runs: &[RunRecord]) -> String {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
    let differs = |name: &&&String| {
        let first = runs.first().and_then(|run| run.settings.get(**name));
        runs.iter().any(|run| run.settings.get(**name) != first)
    };
    let mut html = String::new();
    if runs.len() > 1 {
        let differing: Vec<&&String> = names.iter().filter(differs).collect();
        html.push_str("<h2>Settings that differ</h2>\n");
        html.push_str(&table(runs, differing.into_iter().copied()));
    }
    html.push_str("<details><summary>All settings</summary>\n");
    html.push_str(&table(runs, names.into_iter()));
    html.push_str("</details>\n");
    html
}

fn table<'a>(runs: &[RunRecord], names: impl Iterator<Item = &'a String>) -> String {
    let mut html = String::from("<table><tr><th></th>");
    for run in runs {
        let _ = write!(html, "<th>{}</th>", escaped(&run.name));
    }
    html.push_str("</tr>\n");
    for name in names {
        let _ = write!(html, "<tr><th>{}</th>", escaped(name));
        for run in runs {
            let value = run.settings.get(name).map_or("", String::as_str);
            let _ = write!(html, "<td>{}</td>", escaped(value));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    html
}
