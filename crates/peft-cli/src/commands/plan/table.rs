//! The two tables, full fine-tuning and the chosen method side by side.

use std::fmt::Write;

use super::Case;
use super::probe::Probe;
use crate::args::PlanArgs;

/// A row of both: what it is, and its figures.
type Row = (&'static str, f64, f64);

pub(super) fn of(args: &PlanArgs, chosen: &Case, full: &Case, probe: Option<&Probe>) -> String {
    let mut text = String::new();
    let (plan, other) = (&chosen.plan, &full.plan);
    let _ = writeln!(
        text,
        "{}: {} of {} parameters train ({:.2} %), steps of {} tokens, {} to a row\n",
        chosen.name,
        count(plan.trainable),
        count(plan.parameters),
        100.0 * plan.trainable / plan.parameters.max(1.0),
        chosen.tokens,
        args.max_length,
    );
    let (a, b) = (&other.computation, &plan.computation);
    let computation: [Row; 7] = [
        ("forward: layers of the model", a.forward, b.forward),
        ("forward: attention", a.attention, b.attention),
        ("output layer and loss", a.head, b.head),
        (
            "gradients of inputs",
            a.gradient_of_inputs,
            b.gradient_of_inputs,
        ),
        (
            "gradients of the model's weights",
            a.gradient_of_weights,
            b.gradient_of_weights,
        ),
        ("adapter and its gradients", a.adapter, b.adapter),
        ("blocks run again", a.recomputation, b.recomputation),
    ];
    let total = ("together", a.total(), b.total());
    section(
        &mut text,
        "multiply-adds a step",
        chosen,
        &computation,
        total,
        |x| format!("{:.1} G", x / 1e9),
    );
    let _ = writeln!(
        text,
        "a token: {:.1} M\n",
        plan.computation.total() / chosen.tokens / 1e6
    );
    if let Some(later) = &chosen.later {
        let (first, later) = (plan.computation.total(), later.computation.total());
        let _ = writeln!(
            text,
            "with the trunk cached, a step after the first epoch: {:.1} G, {:.2} of one before\n",
            later / 1e9,
            later / first
        );
    }
    let (a, b) = (&other.memory, &plan.memory);
    let memory: [Row; 12] = [
        ("weights of the model", a.weights, b.weights),
        ("weights of the adapter", a.adapter, b.adapter),
        ("prompts and prefixes", a.prompts, b.prompts),
        ("gradients", a.gradients, b.gradients),
        ("optimizer's moments", a.optimizer, b.optimizer),
        (
            "activations: states",
            a.activations.states,
            b.activations.states,
        ),
        (
            "activations: attention",
            a.activations.attention,
            b.activations.attention,
        ),
        (
            "activations: feed-forward",
            a.activations.feed_forward,
            b.activations.feed_forward,
        ),
        (
            "activations: adapters",
            a.activations.adapters,
            b.activations.adapters,
        ),
        ("scores and loss", a.loss, b.loss),
        ("states of the cached trunk", a.cache, b.cache),
        ("program", a.program, b.program),
    ];
    let total = ("together", a.total(), b.total());
    section(&mut text, "memory", chosen, &memory, total, bytes);
    let held: Vec<String> = chosen
        .held
        .storages()
        .filter(|(_, held)| *held > 0)
        .map(|(name, held)| format!("{} in {name}", bytes(held as f64)))
        .collect();
    let _ = writeln!(
        text,
        "weights: {}; while they are read {} at most",
        held.join(", "),
        bytes(b.loading)
    );
    if let Some(shared) = &chosen.shared {
        let _ = writeln!(text, "{}", shared.text());
    }
    if let Some(divided) = &chosen.divided {
        let _ = writeln!(text, "{}", divided.text());
    }
    if let Some(probe) = probe {
        let seconds = probe.seconds(plan);
        let _ = write!(
            text,
            "\nthis machine multiplies {:.0} G a second: about {seconds:.2} s a step, {:.0} tokens a second; full fine-tuning {:.2} s a step",
            probe.rates.of_base / 1e9,
            chosen.tokens / seconds,
            probe.seconds(other),
        );
        if let Some(steps) = args.steps {
            let _ = write!(
                text,
                "\n{steps} steps: about {:.1} minutes",
                seconds * steps as f64 / 60.0
            );
        }
    }
    text.trim_end().to_owned()
}

fn section(
    text: &mut String,
    title: &str,
    chosen: &Case,
    rows: &[Row],
    total: Row,
    shown: impl Fn(f64) -> String,
) {
    let _ = writeln!(text, "{title:<34} {:>14}   {:>14}", "full", chosen.name);
    let mark = |x: f64| if x > 0.0 { "✓" } else { "✗" };
    let value = |x: f64| if x > 0.0 { shown(x) } else { String::new() };
    for (what, a, b) in rows.iter().filter(|(_, a, b)| *a > 0.0 || *b > 0.0) {
        let _ = writeln!(
            text,
            "  {what:<32} {} {:>12}   {} {:>12}",
            mark(*a),
            value(*a),
            mark(*b),
            value(*b)
        );
    }
    let (what, a, b) = total;
    let _ = writeln!(
        text,
        "  {what:<32}   {:>12}     {:>12}   {:.2} of full",
        shown(a),
        shown(b),
        b / a
    );
}

/// A number of bytes.
pub(crate) fn bytes(x: f64) -> String {
    match x {
        x if x >= 1e9 => format!("{:.2} GB", x / 1e9),
        x => format!("{:.1} MB", x / 1e6),
    }
}

/// A number of parameters.
fn count(x: f64) -> String {
    match x {
        x if x >= 1e9 => format!("{:.2} B", x / 1e9),
        x if x >= 1e6 => format!("{:.2} M", x / 1e6),
        x => format!("{x:.0}"),
    }
}
