//! [`assistant`]: where a conversation's rendering has the assistant's turns.
//!
//! A turn begins where its generation prompt ends: the rendering of the messages before it, with
//! that prompt, is the beginning of the whole. It ends where the next turn begins, and the last one
//! at the end of the text. Renderings of beginnings *without* the prompt are not relied on, since
//! templates write the last turn otherwise than the same turn in the middle.
//!
//! Where the prompt begins an answer, as `<think>` does, that an answer of the rows has not, it is
//! not all in the whole: the turns begin where the first of them parts from it, as TRL's
//! completions do.
//!
//! To render every beginning takes quadratic time. The prompt that the template writes is known
//! after two renderings, and where the whole has it as often as there are turns, and no message has
//! it, these are the turns. Headers of other roles are found likewise.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

use super::Message;
use crate::{TextTokenizer, TrainError};

/// Why there are no turns.
pub(super) enum TurnsError {
    /// The template or the tokenizer fails.
    Failed(TrainError),
    /// The beginning or the end of this turn, from 0, cannot be told.
    Turn(usize),
}

impl From<TrainError> for TurnsError {
    fn from(error: TrainError) -> Self {
        Self::Failed(error)
    }
}

/// The bytes of `text`, the rendering of all messages, that the assistant's turns are: of those
/// that are targets. And whether the whole has less than all of a turn's generation prompt.
pub(super) fn assistant(
    tokenizer: &TextTokenizer,
    messages: &[Message],
    variables: &Map<String, Value>,
    text: &str,
) -> Result<(Vec<Range<usize>>, bool), TurnsError> {
    let turns = Turns {
        tokenizer,
        messages,
        variables,
        text,
    };
    turns.find()
}

struct Turns<'a> {
    tokenizer: &'a TextTokenizer,
    messages: &'a [Message],
    variables: &'a Map<String, Value>,
    text: &'a str,
}

impl Turns<'_> {
    fn find(&self) -> Result<(Vec<Range<usize>>, bool), TurnsError> {
        let indices: Vec<usize> = (0..self.messages.len())
            .filter(|i| self.messages[*i].is_assistant())
            .collect();
        let Some(first) = indices.first() else {
            return Ok((Vec::new(), false));
        };
        // A template may take no conversation without messages, which is what is before a first
        // message of the assistant's.
        let known = match self.opening(*first) {
            Err(_) if *first == 0 && indices.len() > 1 => 1,
            _ => 0,
        };
        let opening = self.opening(indices[known])?;
        let places = self.places(&indices, known, &opening)?;
        let mut headers: HashMap<&str, Option<String>> = HashMap::new();
        let mut spans = Vec::new();
        for (n, (i, place)) in indices.iter().zip(&places).enumerate() {
            let start = &place.end;
            // The next turn of the assistant's begins with its generation prompt.
            let limit = match places.get(n + 1) {
                Some(next) => next.start,
                None => self.text.len(),
            };
            let end = match self.messages.get(i + 1) {
                _ if !self.messages[*i].is_target() => continue,
                None => limit,
                Some(next) if next.is_assistant() => limit,
                Some(next) => {
                    let until = indices
                        .get(n + 1)
                        .unwrap_or(&self.messages.len())
                        .to_owned();
                    let header = headers.get(next.role()).cloned().flatten();
                    let by_header = header.and_then(|header| {
                        self.before_header(&header, *start..limit, i + 1..until)
                    });
                    match by_header {
                        Some(end) => end,
                        None => {
                            let end = self.end(*i, *start..limit, &opening)?;
                            headers
                                .entry(next.role())
                                .or_insert_with(|| self.header(end..limit, next));
                            end
                        }
                    }
                }
            };
            if *start > end {
                return Err(TurnsError::Turn(*i));
            }
            spans.push(*start..end);
        }
        let apart = places.iter().any(|place| place.len() < opening.len());
        Ok((spans, apart))
    }

    fn render(&self, upto: usize, generation: bool) -> Result<String, TrainError> {
        let messages = &self.messages[..upto];
        let rendered = self
            .tokenizer
            .render_marked(messages, self.variables, generation)?;
        Ok(rendered.text)
    }

    /// The generation prompt: what a rendering with it has more than one without.
    fn opening(&self, turn: usize) -> Result<String, TurnsError> {
        let (with, without) = (self.render(turn, true)?, self.render(turn, false)?);
        // A template may close the text where no answer is asked for.
        let eos = self
            .tokenizer
            .special_token("eos_token")
            .unwrap_or_default();
        let bare = without.trim_end().strip_suffix(eos).unwrap_or(&without);
        let found = with
            .strip_prefix(without.as_str())
            .or_else(|| with.strip_prefix(bare));
        found.map(str::to_owned).ok_or(TurnsError::Turn(turn))
    }

    /// Where the whole has each turn's prompt, or what it has of that; the one of the turn at
    /// `known` can be rendered. A turn begins at its end.
    fn places(
        &self,
        turns: &[usize],
        known: usize,
        opening: &str,
    ) -> Result<Vec<Range<usize>>, TurnsError> {
        let first = self.place(turns[known], opening)?;
        let there = &opening[..first.len()];
        if self.is_only_the_templates(there) {
            let found = self.text.match_indices(there);
            let found = found.filter_map(|(at, _)| self.shared(at, opening));
            let found: Vec<Range<usize>> = found.collect();
            // One is looked at, since what is no header could be there as often.
            if found.len() == turns.len() && found[known] == first {
                return Ok(found);
            }
        }
        let found = turns.iter().map(|turn| self.place(*turn, opening));
        let found: Vec<Range<usize>> = found.collect::<Result<_, _>>()?;
        let unordered = found.windows(2).position(|two| two[0].end > two[1].start);
        match unordered {
            Some(turn) => Err(TurnsError::Turn(turns[turn + 1])),
            None => Ok(found),
        }
    }

    fn place(&self, turn: usize, opening: &str) -> Result<Range<usize>, TurnsError> {
        let before = self.render(turn, true)?;
        if self.text.starts_with(&before) {
            let begin = before.len().checked_sub(opening.len());
            return Ok(begin.ok_or(TurnsError::Turn(turn))?..before.len());
        }
        let begin = before.strip_suffix(opening);
        let begin = begin.filter(|begin| self.text.starts_with(begin));
        let place = begin.and_then(|begin| self.shared(begin.len(), opening));
        place.ok_or(TurnsError::Turn(turn))
    }

    /// What the whole has of a prompt at a place: all, or as far as a sign at which a header may
    /// end; none where that is nothing.
    fn shared(&self, at: usize, opening: &str) -> Option<Range<usize>> {
        let rest = self.text.get(at..)?;
        if rest.starts_with(opening) {
            return Some(at..at + opening.len());
        }
        let same = rest.chars().zip(opening.chars());
        let same = same.take_while(|(a, b)| a == b);
        let same: usize = same.map(|(c, _)| c.len_utf8()).sum();
        let ends = |c: char| c.is_whitespace() || [':', '>', ']', ')', '}'].contains(&c);
        let (end, c) = opening[..same].char_indices().rfind(|(_, c)| ends(*c))?;
        let there = &opening[..end + c.len_utf8()];
        // White space alone is no header.
        (!there.trim().is_empty()).then(|| at..at + there.len())
    }

    /// Where a turn ends that another role's follows.
    fn end(&self, turn: usize, within: Range<usize>, opening: &str) -> Result<usize, TurnsError> {
        let upto = self.render(turn + 1, true)?;
        let upto = upto.strip_suffix(opening).ok_or(TurnsError::Turn(turn))?;
        if self.text.starts_with(upto) && within.contains(&upto.len()) {
            return Ok(upto.len());
        }
        // As the last one the turn is written otherwise: with its reasoning, which is left out
        // further up. What it ends with is the same.
        let same = overlap(&self.text.as_bytes()[within.clone()], upto.as_bytes());
        let end = within.start + same;
        let said = self.text.get(within.start..end);
        match said.is_some_and(|said| says(said, &self.messages[turn])) {
            true => Ok(end),
            false => Err(TurnsError::Turn(turn)),
        }
    }

    /// What the template writes before a message of another role.
    fn header(&self, within: Range<usize>, message: &Message) -> Option<String> {
        let content = message.fields().get("content")?.as_str()?.trim();
        let rest = self.text.get(within)?;
        let header = &rest[..rest.find(content).filter(|_| !content.is_empty())?];
        self.is_only_the_templates(header)
            .then(|| header.to_owned())
    }

    /// Where the first of these messages begins, all of one role and each with that header.
    fn before_header(
        &self,
        header: &str,
        within: Range<usize>,
        messages: Range<usize>,
    ) -> Option<usize> {
        let role = self.messages[messages.start].role();
        let messages = &self.messages[messages];
        let said = self.text.get(within.clone())?;
        let as_often = messages.iter().all(|message| message.role() == role)
            && said.matches(header).count() == messages.len();
        let at = said.find(header).filter(|_| as_often)?;
        Some(within.start + at)
    }

    /// Whether a piece of text is the template's alone: no message has it.
    fn is_only_the_templates(&self, piece: &str) -> bool {
        let bare = piece.trim();
        let mut messages = self.messages.iter();
        !bare.is_empty()
            && !messages.any(|message| {
                let mut values = message.fields().iter();
                values.any(|(key, value)| key != "role" && has(value, bare))
            })
    }
}

/// Whether a string in a value has this in it.
fn has(value: &Value, piece: &str) -> bool {
    match value {
        Value::String(text) => text.contains(piece),
        Value::Array(items) => items.iter().any(|item| has(item, piece)),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains(piece) || has(value, piece)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a piece of text has what a message says, without its reasoning.
fn says(piece: &str, message: &Message) -> bool {
    let names = |calls: &Value| -> Vec<String> {
        let calls = calls.as_array().into_iter().flatten();
        let name = |call: &Value| Some(call["function"]["name"].as_str()?.to_owned());
        calls.filter_map(name).collect()
    };
    let mut said: Vec<String> = message
        .fields()
        .get("tool_calls")
        .map(names)
        .unwrap_or_default();
    match message.fields().get("content") {
        Some(Value::String(text)) => said.push(text.clone()),
        Some(Value::Array(parts)) => {
            said.extend(
                parts
                    .iter()
                    .filter_map(|part| Some(part["text"].as_str()?.to_owned())),
            );
        }
        _ => {}
    }
    let mut parts = said
        .iter()
        .map(|text| text.rsplit("</think>").next().unwrap_or(text).trim())
        .filter(|text| !text.is_empty())
        .peekable();
    parts.peek().is_some() && parts.all(|text| piece.contains(text))
}

/// The length of the longest beginning of `text` that `other` ends with.
fn overlap(text: &[u8], other: &[u8]) -> usize {
    // Knuth, Morris and Pratt: how much of `text` matches before each byte of `other`.
    let other = &other[other.len().saturating_sub(text.len())..];
    let mut borders = vec![0; text.len()];
    let mut matched = 0;
    for i in 1..text.len() {
        while matched > 0 && text[i] != text[matched] {
            matched = borders[matched - 1];
        }
        matched += usize::from(text[i] == text[matched]);
        borders[i] = matched;
    }
    matched = 0;
    for byte in other {
        while matched > 0 && (matched == text.len() || *byte != text[matched]) {
            matched = borders[matched - 1];
        }
        matched += usize::from(text.get(matched) == Some(byte));
    }
    matched
}
