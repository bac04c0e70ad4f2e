//! What fits into a memory, and what would make it fit.

use std::fmt::Write;

use peft_store::Checkpoint;
use serde_json::{Value, json};

use super::table::bytes;
use super::{Case, Sized};
use crate::args::{HoldArg, Method, ModelArgs, PlanArgs};
use crate::error::CliError;

/// A batch or a row that is larger is not looked for.
const MOST: usize = 1 << 20;

/// What fits.
pub(super) struct Advice {
    memory: f64,
    /// What was asked for.
    asked: f64,
    /// The largest batch at the length, and the longest row at the batch; 0 where none fits.
    batch: usize,
    length: usize,
    /// Changes that fit, or take less, the cheapest in computation first.
    changes: Vec<Change>,
}

struct Change {
    what: String,
    memory: f64,
    /// Multiply-adds, of those that were asked for.
    computation: f64,
    fits: bool,
}

pub(super) fn of(
    args: &PlanArgs,
    checkpoint: &Checkpoint,
    memory: f64,
) -> Result<Advice, CliError> {
    let sized = Sized::of(args, checkpoint)?;
    let asked = sized.case(args);
    let fits = |args: &PlanArgs| sized.case(args).plan.memory.total() <= memory;
    let batch = largest(|n| {
        fits(&PlanArgs {
            batch_size: n,
            ..args.clone()
        })
    });
    let positions = checkpoint.config().max_positions();
    let length = largest(|n| {
        n <= positions
            && fits(&PlanArgs {
                max_length: n,
                ..args.clone()
            })
    });
    let mut changes = Vec::new();
    for (what, changed) in variants(args, checkpoint) {
        let case = Case::of(&changed, checkpoint)?;
        let needed = case.plan.memory.total();
        if needed < asked.plan.memory.total() {
            changes.push(Change {
                what,
                memory: needed,
                computation: case.plan.computation.total() / asked.plan.computation.total(),
                fits: needed <= memory,
            });
        }
    }
    changes.sort_by(|a, b| {
        let order = b.fits.cmp(&a.fits);
        order.then(a.computation.total_cmp(&b.computation))
    });
    Ok(Advice {
        memory,
        asked: asked.plan.memory.total(),
        batch,
        length,
        changes,
    })
}

/// Other settings, one change each, and all that cost no time together.
fn variants(args: &PlanArgs, checkpoint: &Checkpoint) -> Vec<(String, PlanArgs)> {
    let method = args.method.unwrap_or(Method::Lora);
    let model = |dtype: &str, quantise| ModelArgs {
        dtype: dtype.into(),
        quantise,
        ..args.model.clone()
    };
    let mut all = Vec::new();
    let mut add = |what: &str, args: PlanArgs| all.push((what.to_owned(), args));
    if !args.recompute {
        add(
            "--recompute",
            PlanArgs {
                recompute: true,
                ..args.clone()
            },
        );
    }
    let quantise = args.model.quantise;
    if args.model.dtype == "f32" {
        add(
            "--dtype bf16",
            PlanArgs {
                model: model("bf16", quantise),
                ..args.clone()
            },
        );
    }
    if !method.trains_linear_layers() {
        for held in [HoldArg::Q8, HoldArg::Nf4] {
            let flags = format!("--quantise {} --dtype bf16", held.name());
            let changed = PlanArgs {
                model: model("bf16", Some(held)),
                ..args.clone()
            };
            add(&flags, changed.clone());
            add(
                &format!("{flags} --recompute"),
                PlanArgs {
                    recompute: true,
                    ..changed
                },
            );
        }
    }
    let half = (checkpoint.config().n_layers() / 2).max(1);
    if method == Method::Lora && args.of_method.last_layers.is_none() {
        let mut changed = args.clone();
        changed.of_method.last_layers = Some(half);
        add(&format!("--last-layers {half}"), changed);
    }
    if method.is_layerwise()
        && let Ok(of_method) = super::with_defaults()
    {
        add(
            "--method lora",
            PlanArgs {
                method: Some(Method::Lora),
                of_method,
                ..args.clone()
            },
        );
    }
    if args.batch_size > 1 {
        let (rows, batches) = (
            args.batch_size.div_ceil(2),
            args.grad_accum.saturating_mul(2),
        );
        add(
            &format!("--batch-size {rows} --grad-accum {batches}"),
            PlanArgs {
                batch_size: rows,
                grad_accum: batches,
                ..args.clone()
            },
        );
    }
    all
}

/// The largest number for which something holds that holds for all smaller ones; 0 where it does
/// for none.
fn largest(holds: impl Fn(usize) -> bool) -> usize {
    if !holds(1) {
        return 0;
    }
    let mut low = 1;
    while low < MOST && holds(low * 2) {
        low *= 2;
    }
    let mut high = low * 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match holds(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

impl Advice {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let said = match self.asked <= self.memory {
            true => "fits into",
            false => "does not fit into",
        };
        let _ = writeln!(
            text,
            "\n{} {said} {}",
            bytes(self.asked),
            bytes(self.memory)
        );
        let most = |flag: &str, most: usize| match most {
            0 => format!("no --{flag} is small enough"),
            most => format!("--{flag} {most} at most"),
        };
        let _ = writeln!(
            text,
            "at this length {}; at this batch {}",
            most("batch-size", self.batch),
            most("max-length", self.length)
        );
        for change in &self.changes {
            let _ = writeln!(
                text,
                "  {} {:<42} {:>10}, {:.2} of the multiply-adds",
                if change.fits { "✓" } else { "✗" },
                change.what,
                bytes(change.memory),
                change.computation
            );
        }
        text.trim_end().to_owned()
    }

    pub(super) fn as_json(&self) -> Value {
        let changes = self.changes.iter().map(|change| {
            json!({
                "flags": change.what,
                "memory": change.memory,
                "computation": change.computation,
                "fits": change.fits,
            })
        });
        json!({
            "memory": self.memory,
            "fits": self.asked <= self.memory,
            "batch_size": self.batch,
            "max_length": self.length,
            "changes": changes.collect::<Vec<_>>(),
        })
    }
}
