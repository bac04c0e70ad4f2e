//! Source to tokens, by the rules of `jinja2/lexer.py` with `trim_blocks` and `lstrip_blocks`.

mod numbers;

use std::sync::Arc;

use self::numbers::{digits, float_len};
use crate::error::JinjaError;
use crate::text::is_space;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tok {
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(Arc<str>),
    Str(String),
    Int(i128),
    Float(f64),
    Op(&'static str),
    End,
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) line: usize,
}

/// Longest first.
const OPERATORS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";", "\0",
];

pub(crate) fn lex(source: &str) -> Result<Vec<Token>, JinjaError> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer {
        source: &source,
        at: 0,
        line: 1,
        counted: 0,
        line_starting: true,
        tokens: Vec::new(),
    };
    lexer.root()?;
    lexer.push(Tok::End);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    /// Where newlines are counted up to.
    counted: usize,
    /// Whether what was read last ended a line.
    line_starting: bool,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, tok: Tok) {
        let line = self.line();
        self.tokens.push(Token { tok, line });
    }

    fn line(&mut self) -> usize {
        if self.at > self.counted {
            self.line += self.source[self.counted..self.at].matches('\n').count();
            self.counted = self.at;
        }
        self.line
    }

    fn fail<T>(&mut self, reason: String) -> Result<T, JinjaError> {
        let line = self.line();
        Err(JinjaError::Syntax { line, reason })
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_space).len();
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Text before a tag, with the white space that the tag takes.
    fn data(&mut self, text: &str, sign: Option<char>, strips: bool) {
        let mut kept = text;
        if sign == Some('-') {
            kept = text.trim_end_matches(is_space);
        } else if sign.is_none() && strips {
            let start = text.rfind('\n').map_or(0, |at| at + 1);
            if (start > 0 || self.line_starting) && text[start..].chars().all(is_space) {
                kept = &text[..start];
            }
        }
        if !kept.is_empty() {
            self.push(Tok::Data(kept.into()));
        }
    }

    fn root(&mut self) -> Result<(), JinjaError> {
        loop {
            let rest = self.rest();
            let opening = |(at, _): &(usize, &str)| {
                matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#'))
            };
            let Some((at, _)) = rest.match_indices('{').find(opening) else {
                if !rest.is_empty() {
                    self.push(Tok::Data(rest.into()));
                }
                self.at = self.source.len();
                return Ok(());
            };
            let kind = rest.as_bytes()[at + 1];
            let sign = sign_of(&rest[at + 2..]);
            let inside = at + 2 + usize::from(sign.is_some());
            self.data(&rest[..at], sign, kind != b'{');
            let start = self.at;
            self.at += inside;
            match kind {
                b'#' => self.comment()?,
                b'%' if self.opens_raw() => self.raw()?,
                b'%' => {
                    self.at = start + at;
                    self.push(Tok::BlockBegin);
                    self.at = start + inside;
                    self.tag(true)?;
                }
                _ => {
                    self.at = start + at;
                    self.push(Tok::VariableBegin);
                    self.at = start + inside;
                    self.tag(false)?;
                }
            }
            self.line_starting = self.source[..self.at].ends_with('\n');
        }
    }

    /// The end of a tag with what it takes of the text after it, if it is here.
    fn close(&mut self, end: &str, block: bool) -> bool {
        let rest = self.rest();
        if rest.strip_prefix('-').is_some_and(|r| r.starts_with(end)) {
            self.at += 1 + end.len();
            self.skip_space();
            return true;
        }
        if block && rest.strip_prefix('+').is_some_and(|r| r.starts_with(end)) {
            self.at += 1 + end.len();
            return true;
        }
        if self.skip(end) {
            if block {
                self.skip("\n");
            }
            return true;
        }
        false
    }

    fn comment(&mut self) -> Result<(), JinjaError> {
        let start = self.at;
        while self.at < self.source.len() {
            if self.close("#}", true) {
                return Ok(());
            }
            self.at += self.rest().chars().next().map_or(1, char::len_utf8);
        }
        if start == self.source.len() {
            return Ok(());
        }
        self.at = start;
        self.fail("missing end of comment tag".into())
    }

    /// Whether this is the inside of a raw tag, which it then passes.
    fn opens_raw(&mut self) -> bool {
        let start = self.at;
        self.skip_space();
        if self.skip("raw") {
            self.skip_space();
            if self.skip("-%}") {
                self.skip_space();
                return true;
            }
            if self.skip("%}") {
                return true;
            }
        }
        self.at = start;
        false
    }

    fn raw(&mut self) -> Result<(), JinjaError> {
        self.line_starting = self.source[..self.at].ends_with('\n');
        let start = self.at;
        for (at, _) in self.source[start..].match_indices("{%") {
            let sign = sign_of(&self.source[start + at + 2..]);
            self.at = start + at + 2 + usize::from(sign.is_some());
            self.skip_space();
            if self.skip("endraw") {
                self.skip_space();
                let text_end = start + at;
                if self.close("%}", true) {
                    let end = self.at;
                    self.at = start;
                    self.data(&self.source[start..text_end], sign, true);
                    self.at = end;
                    return Ok(());
                }
            }
        }
        self.at = start;
        if start == self.source.len() {
            return Ok(());
        }
        self.fail("missing end of raw directive".into())
    }

    fn tag(&mut self, block: bool) -> Result<(), JinjaError> {
        let end = if block { "%}" } else { "}}" };
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            if open.is_empty() {
                let at = self.at;
                if self.close(end, block) {
                    let after = std::mem::replace(&mut self.at, at);
                    self.push(if block {
                        Tok::BlockEnd
                    } else {
                        Tok::VariableEnd
                    });
                    self.at = after;
                    return Ok(());
                }
            }
            let Some(c) = self.rest().chars().next() else {
                return Ok(());
            };
            if is_space(c) {
                self.skip_space();
            } else if c.is_ascii_digit() {
                self.number()?;
            } else if is_word(c) {
                let rest = self.rest();
                let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
                if !(c == '_' || c.is_alphabetic()) {
                    return self.fail(format!("`{name}` is no name"));
                }
                self.push(Tok::Name(name.into()));
                self.at += name.len();
            } else if c == '"' || c == '\'' {
                self.string(c)?;
            } else {
                self.operator(c, &mut open)?;
            }
        }
    }

    fn operator(&mut self, c: char, open: &mut Vec<&'static str>) -> Result<(), JinjaError> {
        let rest = self.rest();
        let Some(op) = OPERATORS.into_iter().find(|op| rest.starts_with(op)) else {
            return self.fail(format!("unexpected character {c:?}"));
        };
        match op {
            "{" => open.push("}"),
            "(" => open.push(")"),
            "[" => open.push("]"),
            "}" | ")" | "]" => match open.pop() {
                Some(expected) if expected == op => {}
                Some(expected) => {
                    return self.fail(format!("unexpected '{op}', expected '{expected}'"));
                }
                None => return self.fail(format!("unexpected '{op}'")),
            },
            "\0" => return self.fail("unexpected character '\\0'".into()),
            _ => {}
        }
        self.push(Tok::Op(op));
        self.at += op.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), JinjaError> {
        let rest = self.rest();
        let after_dot = self.source[..self.at].ends_with('.');
        if !after_dot && let Some(len) = float_len(rest) {
            let value = rest[..len].replace('_', "").parse();
            self.push(Tok::Float(value.unwrap_or(f64::INFINITY)));
            self.at += len;
            return Ok(());
        }
        let radix = match rest.as_bytes().get(1).map(u8::to_ascii_lowercase) {
            Some(b'b') => 2,
            Some(b'o') => 8,
            Some(b'x') => 16,
            _ => 10,
        };
        let based = if radix == 10 || !rest.starts_with('0') {
            0
        } else {
            digits(&rest[2..], |c| c == '_' || c.is_digit(radix))
        };
        let (len, text, radix) = if based > 0 {
            (2 + based, &rest[2..2 + based], radix)
        } else if rest.starts_with('0') {
            let len = digits(rest, |c| c == '0' || c == '_');
            (len, &rest[..len], 10)
        } else {
            let len = digits(rest, |c| c == '_' || c.is_ascii_digit());
            (len, &rest[..len], 10)
        };
        match i128::from_str_radix(&text.replace('_', ""), radix) {
            Ok(value) => self.push(Tok::Int(value)),
            Err(_) => return self.fail(format!("the number {text} is too large")),
        }
        self.at += len;
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<(), JinjaError> {
        let inside = &self.rest()[1..];
        let mut escaped = false;
        for (i, c) in inside.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    match crate::text::unescape(&inside[..i]) {
                        Ok(text) => self.push(Tok::Str(text)),
                        Err(reason) => return self.fail(reason),
                    }
                    self.at += i + 2;
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail(format!("a string without its closing {quote}"))
    }
}

fn sign_of(text: &str) -> Option<char> {
    text.chars().next().filter(|c| matches!(c, '-' | '+'))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
