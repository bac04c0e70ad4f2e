//! Targets by regular expressions, of whose pieces another matcher knows what they mean: it walks
//! the pieces and has no expressions.

use std::cell::Cell;
use std::collections::BTreeSet;

use burn::tensor::Device;
use peft_core::{LayerRange, Names, Placed, Targets};
use peft_lora::LoraConfig;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Shape, check, meant, ranges, shapes, tree};

peft_tests::cases!(expressions_are_what_another_matcher_says);

/// What a pattern is made of.
#[derive(Debug, Clone)]
enum Piece {
    /// These characters.
    Text(String),
    /// `\d+`.
    Digits,
    /// `[^.]+`.
    Segment,
    /// `.*`.
    All,
    /// `(…)?`.
    Maybe(Vec<Piece>),
    /// `(…|…)`, or without the brackets where it is the whole pattern.
    Either(Vec<Piece>, Vec<Piece>),
}

fn written(pieces: &[Piece], whole: bool) -> String {
    let write = |piece: &Piece| match piece {
        Piece::Text(text) => text.replace('.', r"\."),
        Piece::Digits => r"\d+".into(),
        Piece::Segment => "[^.]+".into(),
        Piece::All => ".*".into(),
        Piece::Maybe(inner) => format!("({})?", written(inner, false)),
        Piece::Either(a, b) => {
            let both = format!("{}|{}", written(a, false), written(b, false));
            if whole && pieces.len() == 1 {
                both
            } else {
                format!("({both})")
            }
        }
    };
    pieces.iter().map(write).collect()
}

/// Where in `text` a match that starts at one of these places may end.
fn ends(pieces: &[Piece], text: &str, starts: BTreeSet<usize>) -> BTreeSet<usize> {
    let run = |start: usize, is: fn(char) -> bool| {
        let length = text[start..].chars().take_while(|c| is(*c)).count();
        start + 1..=start + length
    };
    pieces.iter().fold(starts, |starts, piece| {
        let of = |start: usize| -> BTreeSet<usize> {
            match piece {
                Piece::Text(piece) => {
                    let there = text[start..].starts_with(piece.as_str());
                    there.then_some(start + piece.len()).into_iter().collect()
                }
                Piece::Digits => run(start, |c| c.is_ascii_digit()).collect(),
                Piece::Segment => run(start, |c| c != '.').collect(),
                Piece::All => (start..=text.len()).collect(),
                Piece::Maybe(inner) => {
                    let mut found = ends(inner, text, BTreeSet::from([start]));
                    found.insert(start);
                    found
                }
                Piece::Either(a, b) => [a, b]
                    .into_iter()
                    .flat_map(|pieces| ends(pieces, text, BTreeSet::from([start])))
                    .collect(),
            }
        };
        starts.into_iter().flat_map(of).collect()
    })
}

fn matches(pieces: &[Piece], path: &str) -> bool {
    ends(pieces, path, BTreeSet::from([0])).contains(&path.len())
}

/// How a pattern is made of a path: what becomes of each of its segments, and of the whole.
type Recipe = (Index, Vec<u8>, u8, Index);

fn recipe() -> impl Strategy<Value = Recipe> {
    (any::<Index>(), vec(0..9u8, 4), 0..8u8, any::<Index>())
}

fn pattern((of, kinds, whole, other): &Recipe, paths: &[String]) -> Vec<Piece> {
    let text = |text: &str| vec![Piece::Text(text.to_owned())];
    let (path, other) = (of.get(paths), other.get(paths));
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let mut pieces = Vec::new();
    for (i, segment) in path.split('.').enumerate() {
        if i > 0 {
            pieces.push(Piece::Text(".".into()));
        }
        pieces.push(match kinds[i % kinds.len()] {
            0 if segment.parse::<usize>().is_ok() => Piece::Digits,
            1 => Piece::Segment,
            2 => Piece::Either(text(segment), text(&last(other))),
            3 => Piece::All,
            4 => Piece::Maybe(text(segment)),
            // The beginning of a segment is no segment.
            5 => Piece::Text(segment[..segment.len().div_ceil(2)].into()),
            _ => Piece::Text(segment.into()),
        });
    }
    match whole {
        // A pattern is the whole path: an end of one, and either of two, must be held together.
        0 => pieces.drain(..pieces.len() - 1).for_each(drop),
        1 => pieces = vec![Piece::Either(pieces, text(other))],
        2 => pieces = vec![Piece::Either(text(&last(other)), pieces)],
        3 => pieces.insert(0, Piece::All),
        _ => {}
    }
    pieces
}

fn expressions_are_what_another_matcher_says(device: &Device) {
    let given = (shapes(), recipe(), proptest::option::of(recipe()), ranges());
    let (chosen, refused) = (Cell::new(0), Cell::new(0));
    check(
        400,
        given,
        |(shape, target, exclude, range): (Shape, Recipe, Option<Recipe>, LayerRange)| {
            let (mut model, paths) = tree(&shape, device);
            let target = pattern(&target, &paths);
            let exclude = exclude.map(|recipe| pattern(&recipe, &paths));
            let mut asked = Targets::regex(written(&target, true)).within(range.clone());
            if let Some(pieces) = &exclude {
                asked = asked.excluding_names(Names::Regex(written(pieces, true)));
            }
            let shown = format!("{asked:?} of {paths:?}");
            let report = LoraConfig::new(1, 1.0)
                .with_targets(asked)
                .attach(&mut model, "a")
                .ok();
            let found =
                report.map(|report| report.layers.into_iter().map(|layer| layer.path).collect());
            let target = |path: &str| matches(&target, path);
            let exclude = exclude.map(|pieces| move |path: &str| matches(&pieces, path));
            let exclude: Vec<&dyn Fn(&str) -> bool> =
                exclude.iter().map(|exclude| exclude as _).collect();
            let expected = meant(&paths, &[&target], &exclude, &range);
            assert_eq!(found, expected, "{shown}");
            let count = if expected.is_some() {
                &chosen
            } else {
                &refused
            };
            count.set(count.get() + 1);
        },
    );
    let (chosen, refused) = (chosen.get(), refused.get());
    assert!(
        chosen > 80 && refused > 80,
        "{chosen} chosen, {refused} refused"
    );
}
