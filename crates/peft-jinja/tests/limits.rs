//! Templates that take too much end with an error, and soon.

use std::time::{Duration, Instant};

use peft_jinja::{JinjaError, Template};

fn render(source: &str) -> Result<String, JinjaError> {
    let context = serde_json::json!({ "s": "text", "xs": [1, 2, 3], "words": vec!["word"; 1000] });
    let context = context.as_object().expect("an object");
    Template::new(source)?
        .render(context)
        .map(|rendered| rendered.text)
}

#[test]
fn what_takes_too_much_is_told_as_a_limit() {
    let endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
    let deep_list = "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}";
    let doubled = "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
    let shared = "{% set ns = namespace(x=[]) %}{% for i in range(400) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    let chain = "{% set ns = namespace(x=none) %}{% for i in range(9999) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}{{ ns.x }}";
    let hostile = [
        endless.to_owned(),
        deep_list.to_owned(),
        doubled.to_owned(),
        format!("{shared}{{{{ ns.x }}}}"),
        format!("{shared}{{{{ ns.x|tojson }}}}"),
        format!("{shared}{{% set other = namespace(x=ns.x) %}}{{% set a = [ns.x, 1] %}}{{% set b = [other.x, 2] %}}{{{{ ns.x|string == '' }}}}"),
        chain.to_owned(),
        "{{ [1] * 10000000000 }}".into(),
        "{{ 'a' * 10000000000 }}".into(),
        "{{ (1, 2) * 9999999999 }}".into(),
        "{{ xs|tojson(indent=10000000000) }}".into(),
        "{{ [[[[[xs]]]]]|tojson(indent=20000000) }}".into(),
        "{{ s|indent(10000000000) }}".into(),
        "{{ s.center(10000000000) }}".into(),
        "{{ s|center(10000000000) }}".into(),
        "{{ s.ljust(10000000000) }}{{ s.zfill(10000000000) }}".into(),
        "{{ '%1000000000d' % 1 }}".into(),
        "{{ '%.1000000000f' % 1 }}".into(),
        "{{ '%*d' % (1000000000, 1) }}".into(),
        format!("{{{{ '%{}d' % 1 }}}}", "9".repeat(46)),
        "{{ '{:1000000000}'.format(1) }}".into(),
        "{{ '{:.1000000000f}'.format(1.0) }}".into(),
        "{{ ('x' * 60000000).replace('x', 'yyyy') }}".into(),
        "{{ ('x' * 60000000)|replace('x', 'yyyy') }}".into(),
        "{{ ('\t' * 1000000).expandtabs(1000) }}".into(),
        "{{ ('ab ' * 1000000).join(words) }}".into(),
        "{{ words|join('x' * 1000000) }}".into(),
        "{{ range(10000000000) }}".into(),
        "{{ xs|batch(10000000000, 'x')|list }}".into(),
        "{{ xs|slice(10000000000)|list }}".into(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".into(),
        "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}".into(),
        "{% for x in [xs] recursive %}{{ loop([xs]) }}{% endfor %}".into(),
        format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "- ".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "1 if 1 else ".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " if 1".repeat(100_000)),
        format!("{}{}", "{% if 1 %}".repeat(100_000), "{% endif %}".repeat(100_000)),
        "{% for x in range(99999) %}{{ 'x' * 1000 }}{% endfor %}".into(),
        "{% set x = 'x' * 9999999 %}{% for i in range(99999) %}{{ x[i] }}{% endfor %}".into(),
        "{% set x = words * 1000 %}{% for i in range(99999) %}{{ i in x }}{% endfor %}".into(),
        "{% set ns = namespace(x=1) %}{% for i in range(99) %}{% set ns.x = ns.x * 1.5e300|int %}{% endfor %}".into(),
        "{{ 2 ** 10000000000 }}".into(),
        "{{ 10 ** 38 * 10 }}".into(),
        format!("{{{{ {} }}}}", "9".repeat(1_000)),
    ];
    for source in hostile {
        let started = Instant::now();
        let result = render(&source);
        let shown: String = source.chars().take(80).collect();
        assert!(
            result.is_err(),
            "{shown} gives {} bytes",
            result.map_or(0, |text| text.len())
        );
        let took = started.elapsed();
        assert!(took < Duration::from_secs(20), "{shown} takes {took:?}");
    }
}

#[test]
fn what_holds_itself_is_written_compared_and_freed() {
    let itself = "{% set ns = namespace(x=[]) %}{% set ns.x = [ns, {'k': ns}] %}{{ ns }}{{ ns.x == ns.x }}{{ ns.x == [ns, {'k': ns}] }}";
    assert!(render(itself).is_ok());
    assert!(render(&format!("{itself}{{{{ ns.x|tojson }}}}")).is_err());
    let macros = "{% set ns = namespace(f=none) %}{% for i in range(20000) %}{% set f = ns.f %}{% macro g() %}{{ f }}{% endmacro %}{% set ns.f = g %}{% endfor %}ok";
    assert_eq!(render(macros).as_deref(), Ok("ok"));
    let loops = "{% set ns = namespace(l=none) %}{% for i in range(20000) %}{% for x in [ns.l] %}{% set ns.l = loop %}{% endfor %}{% endfor %}ok";
    assert_eq!(render(loops).as_deref(), Ok("ok"));
    let spaces = "{% set ns = namespace(x=none) %}{% for i in range(20000) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}ok";
    assert_eq!(render(spaces).as_deref(), Ok("ok"));
}

#[test]
fn what_is_long_and_flat_is_no_matter() {
    let sum = format!("{{{{ 1{} }}}}", " + 1".repeat(20_000));
    assert_eq!(render(&sum).as_deref(), Ok("20001"));
    let filters = format!("{{{{ s{} }}}}", "|string".repeat(20_000));
    assert_eq!(render(&filters).as_deref(), Ok("text"));
    let branches = format!(
        "{{% if 0 %}}{}{{% endif %}}ok",
        "{% elif 0 %}".repeat(20_000)
    );
    assert_eq!(render(&branches).as_deref(), Ok("ok"));
    let recursion = "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% else %}end{% endif %}{% endmacro %}{{ m(150) }}";
    assert_eq!(render(recursion).as_deref(), Ok("end"));
}

#[test]
fn an_error_names_its_line() {
    let source = "a\n{% for x in xs %}\n  {{ x.y.z }}\n{% endfor %}";
    let error = render(source).expect_err("an attribute of nothing");
    assert_eq!(
        error.to_string(),
        "line 3: 'int object' has no attribute 'y'"
    );
    let error = render("\n{{ raise_exception('no ' ~ s) }}").expect_err("raised");
    assert_eq!(error.to_string(), "no text");
    let error = render("\n\n{{ s|nofilter }}").expect_err("no such filter");
    assert_eq!(error.to_string(), "line 3: no filter named 'nofilter'");
}
