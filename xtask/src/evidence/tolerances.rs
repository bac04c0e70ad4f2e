//! The table of tolerances, read from the source that the cases use.

/// Of `/// what` and `pub const NAME: type = value;`, a row each.
pub(super) fn table(source: &str) -> String {
    let mut text = String::from("| tolerance | value | of |\n| --- | --- | --- |\n");
    let mut what = String::new();
    for line in source.lines() {
        if let Some(comment) = line.strip_prefix("/// ") {
            what.push_str(if what.is_empty() { "" } else { " " });
            what.push_str(comment);
        } else if let Some(constant) = line.strip_prefix("pub const ")
            && let Some((name, value)) = constant.split_once(": ")
            && let Some((_, value)) = value.split_once(" = ")
        {
            let what = std::mem::take(&mut what);
            text += &format!("| `{name}` | {} | {what} |\n", value.trim_end_matches(';'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_constant_is_a_row() {
        let source = "//! Head.\n\n/// Two paths\n/// in f32.\npub const PATHS: f32 = 1e-5;\n/// B.\npub const B: f64 = 2.0;\n";
        let rows = table(source);
        assert!(
            rows.ends_with("| `PATHS` | 1e-5 | Two paths in f32. |\n| `B` | 2.0 | B. |\n"),
            "{rows}"
        );
    }
}
