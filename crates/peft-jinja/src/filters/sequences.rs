//! Filters of lists and mappings.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::{attribute_parts, folded, parts_of};
use crate::args::{Args, given, truth_or};
use crate::ast::Binary;
use crate::error::{Fault, Res, fail};
use crate::eval::Interp;
use crate::limits::MAX_ITEMS;
use crate::sort::sorted;
use crate::value::{Value, binary, compare, equal, index_of, key_of};

impl Interp<'_> {
    pub(super) fn sequence_filter(&mut self, name: &str, value: Value, args: Args) -> Res<Value> {
        match name {
            "map" => self.map(&value, args),
            "select" => self.select(&value, args, false, true),
            "reject" => self.select(&value, args, false, false),
            "selectattr" => self.select(&value, args, true, true),
            "rejectattr" => self.select(&value, args, true, false),
            "sort" => {
                let [reverse, case, attribute] =
                    args.bind(name, ["reverse", "case_sensitive", "attribute"], 0)?;
                let paths = match given(attribute) {
                    Some(Value::Str(paths)) => {
                        let paths = paths.split(',').map(|path| parts_of(&Value::str(path)));
                        paths.collect::<Res<Vec<_>>>()?
                    }
                    attribute => vec![attribute_parts(attribute)?],
                };
                let case = truth_or(case.as_ref(), false);
                let mut keyed = Vec::new();
                for item in self.items(&value)? {
                    let keys = paths.iter().map(|path| self.key(&item, path, case));
                    let keys = keys.collect::<Res<_>>()?;
                    keyed.push((Value::list(keys, &self.budget)?, item));
                }
                let keyed = self.ordered(keyed, truth_or(reverse.as_ref(), false))?;
                Value::list(
                    keyed.into_iter().map(|(_, item)| item).collect(),
                    &self.budget,
                )
            }
            "dictsort" => self.dictsort(&value, args),
            "groupby" => self.groupby(&value, args),
            "unique" => {
                let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
                let case = truth_or(case.as_ref(), false);
                let mut items = Vec::new();
                let made = self.unique_into(&mut items, &value, case, attribute);
                Value::lazy("generator object sync_do_unique", items, made, &self.budget)
            }
            "min" | "max" => {
                let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
                let parts = attribute_parts(attribute)?;
                let case = truth_or(case.as_ref(), false);
                let wanted = if name == "min" {
                    Ordering::Less
                } else {
                    Ordering::Greater
                };
                let mut best: Option<(Value, Value)> = None;
                for item in self.items(&value)? {
                    let key = self.key(&item, &parts, case)?;
                    let better = match &best {
                        Some((other, _)) => compare(&key, other, &self.budget)? == Some(wanted),
                        None => true,
                    };
                    if better {
                        best = Some((key, item));
                    }
                }
                let empty = || Value::undefined("no aggregated item, sequence was empty");
                Ok(best.map_or_else(empty, |(_, item)| item))
            }
            "sum" => {
                let [attribute, start] = args.bind(name, ["attribute", "start"], 0)?;
                let parts = attribute_parts(attribute)?;
                let mut sum = start.unwrap_or(Value::Int(0));
                if let Value::Str(_) = sum {
                    return fail!("sum() can't sum strings");
                }
                for item in self.items(&value)? {
                    let item = self.picked(&item, &parts, None)?;
                    sum = binary(Binary::Add, &sum, &item, &self.budget)?;
                }
                Ok(sum)
            }
            "join" => {
                let [separator, attribute] = args.bind(name, ["d", "attribute"], 0)?;
                let separator = self.soft(&separator.unwrap_or_else(|| Value::str("")))?;
                let parts = attribute_parts(attribute)?;
                let mut text = String::new();
                for (i, item) in self.items(&value)?.iter().enumerate() {
                    let item = self.picked(item, &parts, None)?;
                    text.push_str(if i > 0 { &separator } else { "" });
                    text.push_str(&self.soft(&item)?);
                    self.budget.text(separator.len())?;
                    if text.len() > crate::limits::MAX_TEXT {
                        return Err(Fault::text_limit());
                    }
                }
                Ok(Value::str(text))
            }
            "batch" | "slice" => self.divided(name, &value, args),
            _ => {
                args.none(name)?;
                self.plain_sequence(name, value)
            }
        }
    }

    fn plain_sequence(&mut self, name: &str, value: Value) -> Res<Value> {
        match (name, &value) {
            ("reverse", _) => self.reversed(&value),
            ("first", _) => {
                let next = self.iterate(&value)?.next()?;
                Ok(next.unwrap_or_else(|| Value::undefined("no first item, sequence was empty")))
            }
            ("last", Value::Iter(_)) => fail!("'generator' object is not reversible"),
            ("last", _) => {
                let last = self.items(&value)?.pop();
                Ok(last.unwrap_or_else(|| Value::undefined("no last item, sequence was empty")))
            }
            ("items", Value::Undefined(_)) => {
                Value::iter("generator object do_items", Vec::new(), &self.budget)
            }
            ("items", Value::Dict(dict)) => {
                let pairs = Value::View(crate::value::View::Items, dict.clone());
                let pairs = self.items(&pairs)?;
                Value::iter("generator object do_items", pairs, &self.budget)
            }
            ("items", _) => Value::lazy(
                "generator object do_items",
                Vec::new(),
                fail!("can only get item pairs from a mapping"),
                &self.budget,
            ),
            _ => Value::list(self.items(&value)?, &self.budget),
        }
    }

    fn map(&mut self, value: &Value, args: Args) -> Res<Value> {
        let mut mapped = Vec::new();
        let made = if value.truth() {
            self.map_into(&mut mapped, value, args)
        } else {
            Ok(())
        };
        Value::lazy("generator object sync_do_map", mapped, made, &self.budget)
    }

    fn map_into(&mut self, mapped: &mut Vec<Value>, value: &Value, args: Args) -> Res<()> {
        let by_attribute =
            args.positional.is_empty() && args.named.iter().any(|(name, _)| **name == *"attribute");
        if by_attribute {
            let [attribute, default] = args.bind("map", ["attribute", "default"], 1)?;
            let parts = attribute_parts(attribute)?;
            let default = given(default);
            for item in self.items(value)? {
                mapped.push(self.picked(&item, &parts, default.as_ref())?);
            }
            return Ok(());
        }
        let Args { positional, named } = args;
        let Some((Value::Str(filter), rest)) = positional.split_first() else {
            return fail!("map requires a filter argument");
        };
        for item in self.items(value)? {
            let args = Args {
                positional: rest.to_vec(),
                named: named.clone(),
            };
            self.budget.steps(rest.len())?;
            mapped.push(self.nested(|i| i.filter(filter, item, args))?);
        }
        Ok(())
    }

    /// Items that a test, or their truth, wants or not.
    fn select(&mut self, value: &Value, args: Args, attr: bool, wanted: bool) -> Res<Value> {
        let mut selected = Vec::new();
        let made = if value.truth() {
            self.select_into(&mut selected, value, args, attr, wanted)
        } else {
            Ok(())
        };
        let name = "generator object select_or_reject";
        Value::lazy(name, selected, made, &self.budget)
    }

    fn select_into(
        &mut self,
        selected: &mut Vec<Value>,
        value: &Value,
        args: Args,
        attr: bool,
        wanted: bool,
    ) -> Res<()> {
        let Args { positional, named } = args;
        let mut rest = &positional[..];
        let mut parts = Vec::new();
        if attr {
            let Some((attribute, others)) = rest.split_first() else {
                return fail!("missing parameter for attribute name");
            };
            parts = parts_of(attribute)?;
            rest = others;
        }
        for item in self.items(value)? {
            let looked = self.picked(&item, &parts, None)?;
            self.budget.steps(rest.len())?;
            let holds = match rest.split_first() {
                None => looked.truth(),
                Some((Value::Str(test), rest)) => {
                    let args = Args {
                        positional: rest.to_vec(),
                        named: named.clone(),
                    };
                    self.test(test, &looked, args)?
                }
                Some((other, _)) => {
                    return fail!("a test is named by a string, not {}", other.kind());
                }
            };
            if holds == wanted {
                selected.push(item);
            }
        }
        Ok(())
    }

    fn unique_into(
        &mut self,
        unique: &mut Vec<Value>,
        value: &Value,
        case: bool,
        attribute: Option<Value>,
    ) -> Res<()> {
        let parts = attribute_parts(attribute)?;
        let mut seen = HashSet::new();
        for item in self.items(value)? {
            let key = self.key(&item, &parts, case)?;
            if seen.insert(key_of(&key, &self.budget)?) {
                unique.push(item);
            }
        }
        Ok(())
    }

    fn ordered(&self, keyed: Vec<(Value, Value)>, reverse: bool) -> Res<Vec<(Value, Value)>> {
        // Equal items keep their order, reversed or not.
        let wanted = if reverse {
            Ordering::Greater
        } else {
            Ordering::Less
        };
        sorted(keyed, |a, b| {
            Ok(compare(&a.0, &b.0, &self.budget)? == Some(wanted))
        })
    }

    fn dictsort(&mut self, value: &Value, args: Args) -> Res<Value> {
        let [case, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
        let by = by.unwrap_or_else(|| Value::str("key"));
        let (Value::Dict(dict), Some(by @ ("key" | "value"))) = (value, by.as_str()) else {
            return fail!("dictsort sorts a mapping, by \"key\" or \"value\"");
        };
        let case = truth_or(case.as_ref(), false);
        let mut keyed = Vec::new();
        for (key, value) in &dict.entries {
            let pair = Value::tuple(vec![key.clone(), value.clone()], &self.budget)?;
            let key = if by == "key" { key } else { value };
            keyed.push((folded(key.clone(), case), pair));
        }
        let keyed = self.ordered(keyed, truth_or(reverse.as_ref(), false))?;
        Value::list(
            keyed.into_iter().map(|(_, pair)| pair).collect(),
            &self.budget,
        )
    }

    fn groupby(&mut self, value: &Value, args: Args) -> Res<Value> {
        let [attribute, default, case] =
            args.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
        let parts = attribute_parts(attribute)?;
        let default = given(default);
        let case = truth_or(case.as_ref(), false);
        let mut keyed = Vec::new();
        for item in self.items(value)? {
            let key = self.picked(&item, &parts, default.as_ref())?;
            keyed.push((folded(key, case), item));
        }
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for (key, item) in self.ordered(keyed, false)? {
            match groups.last_mut() {
                Some((last, items)) if equal(last, &key, &self.budget)? => items.push(item),
                _ => groups.push((key, vec![item])),
            }
        }
        let mut pairs = Vec::new();
        for (_, items) in groups {
            let key = self.picked(&items[0], &parts, default.as_ref())?;
            pairs.push(Value::group(key, items, &self.budget)?);
        }
        Value::list(pairs, &self.budget)
    }

    /// `batch` and `slice`.
    fn divided(&mut self, name: &str, value: &Value, args: Args) -> Res<Value> {
        let [count, fill] = args.bind(name, ["count", "fill_with"], 1)?;
        let count = index_of(&count.unwrap_or(Value::None))?;
        let fill = given(fill);
        let items = self.items(value)?;
        let mut parts: Vec<Vec<Value>> = Vec::new();
        if name == "batch" {
            for item in items {
                let full = parts.last().map_or(0, Vec::len) as i128 == count;
                if parts.is_empty() && count == 0 {
                    parts.push(Vec::new());
                }
                match parts.last_mut() {
                    Some(last) if !full => last.push(item),
                    _ => parts.push(vec![item]),
                }
            }
            if let (Some(fill), Some(last)) = (fill, parts.last_mut()) {
                let room = usize::try_from(count - last.len() as i128).unwrap_or(0);
                if room > MAX_ITEMS {
                    return Err(Fault::item_limit());
                }
                last.extend(std::iter::repeat_n(fill, room));
            }
        } else {
            let slices = match usize::try_from(count) {
                Ok(0) => return fail!("slices of zero"),
                Ok(slices) if slices <= MAX_ITEMS => slices,
                Ok(_) => return Err(Fault::item_limit()),
                Err(_) => 0,
            };
            let (size, extra) = match slices {
                0 => (0, 0),
                n => (items.len() / n, items.len() % n),
            };
            let mut items = items.into_iter();
            for i in 0..slices {
                let longer = usize::from(i < extra);
                let mut part: Vec<Value> = items.by_ref().take(size + longer).collect();
                if longer == 0 {
                    part.extend(fill.clone());
                }
                parts.push(part);
            }
        }
        let parts = parts
            .into_iter()
            .map(|part| Value::list(part, &self.budget));
        let parts = parts.collect::<Res<_>>()?;
        let name = if name == "batch" {
            "generator object do_batch"
        } else {
            "generator object sync_do_slice"
        };
        Value::iter(name, parts, &self.budget)
    }
}
