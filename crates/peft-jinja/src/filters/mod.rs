//! Jinja2's filters.

mod numbers;
mod sequences;
mod text;
mod wrap;

use crate::args::{Args, given, text_of, truth_or};
use crate::error::{Fault, Res, fail};
use crate::eval::Interp;
use crate::json::tojson;
use crate::value::{Number, Value, number, printed};

const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

pub(crate) fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

impl Interp<'_> {
    pub(crate) fn filter(&mut self, name: &str, value: Value, args: Args) -> Res<Value> {
        self.budget.step()?;
        match name {
            "default" | "d" => {
                let [default, boolean] = args.bind(name, ["default_value", "boolean"], 0)?;
                let missing =
                    value.is_undefined() || (truth_or(boolean.as_ref(), false) && !value.truth());
                if missing {
                    return Ok(default.unwrap_or_else(|| Value::str("")));
                }
                Ok(value)
            }
            "tojson" => tojson(&value, args, &self.budget),
            "length" | "count" => {
                args.none(name)?;
                if let Value::Loop(_) = value {
                    return self.attribute(&value, &"length".into());
                }
                match value.len() {
                    Some(len) => Ok(len.into()),
                    None => fail!("object of type '{}' has no len()", value.kind()),
                }
            }
            "attr" => self.attr(&value, args),
            "abs" | "round" | "int" | "float" | "filesizeformat" => {
                self.number_filter(name, &value, args)
            }
            "random" => fail!("random would give the same conversation different texts"),
            "urlize" => fail!("urlize makes HTML, which a chat template has no use for"),
            "map" | "select" | "reject" | "selectattr" | "rejectattr" | "first" | "last"
            | "list" | "items" | "reverse" | "sort" | "unique" | "min" | "max" | "sum" | "join"
            | "groupby" | "dictsort" | "batch" | "slice" => self.sequence_filter(name, value, args),
            name if is_filter(name) => self.text_filter(name, &value, args),
            _ => fail!("no filter named '{name}'"),
        }
    }

    /// What Jinja's `soft_str` gives.
    pub(crate) fn soft(&self, value: &Value) -> Res<String> {
        printed(value, &self.budget)
    }

    fn attr(&mut self, value: &Value, args: Args) -> Res<Value> {
        let [name] = args.bind("attr", ["name"], 1)?;
        let name = name.unwrap_or(Value::None);
        let name = text_of(&name, "attr")?;
        if let Value::Dict(_) = value {
            // Items are no attributes.
            let bare = Value::dict(Vec::new(), &self.budget)?;
            let found = self.attribute(&bare, &name.into())?;
            if found.is_undefined() {
                return Ok(found);
            }
        }
        self.attribute(value, &name.into())
    }
}

/// The number that a value is, or an error that names the filter.
fn number_of(value: &Value, filter: &str) -> Res<Number> {
    match (number(value), value) {
        (Some(number), _) => Ok(number),
        (None, Value::Undefined(why)) => Err(Fault::Failed(why.message())),
        (None, other) => fail!("{filter} takes a number, not {}", other.kind()),
    }
}

/// What `value | filter(attribute=…)` looks at: each part of a dotted name.
pub(crate) fn parts_of(attribute: &Value) -> Res<Vec<Value>> {
    match attribute {
        Value::None => Ok(Vec::new()),
        Value::Str(path) => Ok(path.split('.').map(part_of).collect()),
        Value::Int(_) => Ok(vec![attribute.clone()]),
        other => fail!(
            "an attribute is named by a string or a number, not {}",
            other.kind()
        ),
    }
}

fn part_of(part: &str) -> Value {
    let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match part.parse() {
        Ok(at) if digits => Value::Int(at),
        _ => Value::str(part),
    }
}

impl Interp<'_> {
    /// The part of an item that a filter looks at.
    pub(crate) fn picked(
        &mut self,
        item: &Value,
        parts: &[Value],
        default: Option<&Value>,
    ) -> Res<Value> {
        let mut item = item.clone();
        for part in parts {
            item = self.item(&item, part)?;
            if let (Some(default), true) = (default, item.is_undefined()) {
                item = default.clone();
            }
        }
        Ok(item)
    }

    /// [`picked`](Self::picked), in lower case unless case counts.
    pub(crate) fn key(&mut self, item: &Value, parts: &[Value], case: bool) -> Res<Value> {
        let key = self.picked(item, parts, None)?;
        Ok(folded(key, case))
    }
}

pub(crate) fn folded(key: Value, case: bool) -> Value {
    match key {
        Value::Str(text) if !case => Value::str(text.to_lowercase()),
        key => key,
    }
}

/// A parameter that names an attribute, if it is there.
pub(crate) fn attribute_parts(attribute: Option<Value>) -> Res<Vec<Value>> {
    given(attribute).map_or(Ok(Vec::new()), |attribute| parts_of(&attribute))
}
