//! [`Cost`]: what a step was planned to cost, and what it did cost.

use peft_plan::Plan;
use peft_train::StepReport;
use serde_json::{Value, json};

use crate::commands::plan::{self, Probe};

/// Multiply-adds of a step below which its time is no matter, and the machine is not measured.
const SHORT: f64 = 1e9;

/// The plan of a run, and its steps so far.
#[derive(Default)]
pub(super) struct Cost {
    planned: Option<Planned>,
    seconds: Vec<f64>,
    multiply_adds: Vec<f64>,
    /// Bytes that went to the other devices, and that came from them.
    moved: [Vec<f64>; 2],
}

struct Planned {
    plan: Plan,
    /// Of a step, where it is long enough to tell.
    seconds: Option<f64>,
}

impl Cost {
    pub(super) fn new(plan: Option<Plan>, dtype: &str) -> Self {
        let planned = plan.map(|plan| {
            let long = plan.computation.total() >= SHORT;
            let probe = long.then(|| Probe::measure(dtype).ok()).flatten();
            Planned {
                seconds: probe.map(|probe| probe.seconds(&plan)),
                plan,
            }
        });
        Self {
            planned,
            ..Self::default()
        }
    }

    /// A step was made.
    pub(super) fn note(&mut self, report: &StepReport) {
        self.seconds.push(report.seconds);
        self.multiply_adds.push(report.multiply_adds as f64);
        self.moved[0].push(report.sent_bytes as f64);
        self.moved[1].push(report.received_bytes as f64);
    }

    /// The middle one of those after the first, which warms caches up.
    fn usual(of: &[f64]) -> Option<f64> {
        let mut of = of
            .get(1..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(of)
            .to_vec();
        of.sort_by(f64::total_cmp);
        of.get(of.len() / 2).copied()
    }

    /// What a step moved between devices, in a line; none where there is one.
    pub(super) fn moved(&self) -> Option<String> {
        let [sent, received] = self.moved.each_ref().map(|of| Self::usual(of));
        let (sent, received) = (sent?, received.filter(|bytes| *bytes > 0.0)?);
        Some(format!(
            "a step sent {} to the other devices and received {}",
            plan::bytes(sent),
            plan::bytes(received)
        ))
    }

    /// Both, in a line; none where nothing was planned or the system does not tell.
    pub(super) fn line(&self) -> Option<String> {
        let planned = self.planned.as_ref()?;
        let mut line = format!(
            "memory: {} planned, {} at most",
            plan::bytes(planned.plan.memory.total()),
            plan::bytes(plan::peak()?)
        );
        if let (Some(seconds), Some(used)) = (planned.seconds, Self::usual(&self.seconds)) {
            line.push_str(&format!(
                "; the largest step: {seconds:.2} s planned, the middle one {used:.2} s"
            ));
        }
        Some(line)
    }

    /// Both, as the metrics keep them.
    pub(super) fn as_json(&self) -> Option<Value> {
        let planned = self.planned.as_ref()?;
        Some(json!({
            "planned_memory": planned.plan.memory.total(),
            "memory": plan::peak(),
            "planned_multiply_adds": planned.plan.computation.total(),
            "multiply_adds": Self::usual(&self.multiply_adds),
            "planned_seconds": planned.seconds,
            "seconds": Self::usual(&self.seconds),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_does_not_count_where_there_are_others() {
        assert_eq!(Cost::usual(&[]), None);
        assert_eq!(Cost::usual(&[9.0]), Some(9.0));
        assert_eq!(Cost::usual(&[9.0, 1.0, 3.0, 2.0]), Some(2.0));
    }
}
