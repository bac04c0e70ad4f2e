//! Sorting by a comparison that may fail, which keeps equal items in their order.

use crate::error::Res;

pub(crate) fn sorted<T>(items: Vec<T>, mut less: impl FnMut(&T, &T) -> Res<bool>) -> Res<Vec<T>> {
    let mut runs: Vec<Vec<T>> = items.into_iter().map(|item| vec![item]).collect();
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut pairs = runs.into_iter();
        while let Some(left) = pairs.next() {
            merged.push(match pairs.next() {
                Some(right) => merge(left, right, &mut less)?,
                None => left,
            });
        }
        runs = merged;
    }
    Ok(runs.pop().unwrap_or_default())
}

fn merge<T>(
    left: Vec<T>,
    right: Vec<T>,
    less: &mut impl FnMut(&T, &T) -> Res<bool>,
) -> Res<Vec<T>> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    let mut right = right.into_iter().peekable();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let first = if less(b, a)? {
            right.next()
        } else {
            left.next()
        };
        out.extend(first);
    }
    out.extend(left);
    out.extend(right);
    Ok(out)
}
