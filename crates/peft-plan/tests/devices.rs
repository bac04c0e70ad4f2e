//! The table of `docs/scale.md` is what [`Devices`] says.

use std::path::Path;

use peft_plan::Devices;

const LINKS: [f64; 3] = [1e9, 1e10, 1e11];

/// What the page is about: a name, parameters that train, and the seconds that a step of 32 rows
/// takes one device.
const CASES: [(&str, f64, f64); 4] = [
    ("SmolLM2-135M, LoRA", 2_442_240.0, 1.0),
    ("SmolLM2-135M, full", 134_515_008.0, 1.4),
    ("8 B, LoRA", 20_971_520.0, 10.0),
    ("8 B, full", 8_030_261_248.0, 14.0),
];

fn seconds(x: f64) -> String {
    match x {
        x if x < 0.01 => format!("{:.1} ms", x * 1e3),
        x if x < 1.0 => format!("{:.0} ms", x * 1e3),
        x => format!("{x:.1} s"),
    }
}

fn bytes(x: f64) -> String {
    match x {
        x if x < 1e9 => format!("{:.1} MB", x / 1e6),
        x => format!("{:.1} GB", x / 1e9),
    }
}

fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (name, trainable, step) in CASES {
        for number in [2, 4, 8, 16, 32, 64] {
            let of = Devices::new(number, trainable);
            let mut line = format!("| {name} | {number} | {} |", bytes(of.sent()));
            for link in LINKS {
                let moving = of.seconds(link);
                line += &format!(" {}, {:.1} × |", seconds(moving), of.speed_up(step, moving));
            }
            let ring = of.ring_seconds(1e10);
            line += &format!(" {}, {:.1} × |", seconds(ring), of.speed_up(step, ring));
            lines.push(line);
        }
    }
    lines
}

#[test]
fn the_page_has_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scale.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let missing: Vec<String> = lines()
        .into_iter()
        .filter(|line| !page.lines().any(|found| found == line))
        .collect();
    assert!(
        missing.is_empty(),
        "these are missing:\n{}",
        missing.join("\n")
    );
}
