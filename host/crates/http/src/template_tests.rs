//! Tests of reading route templates.

use super::Template;

#[test]
fn template_that_cannot_be_read_is_refused_with_place_and_reason() {
    for (text, error) in [
        ("a/{b", "at character 3: there is no `}` for this `{`"),
        ("a/b}", "at character 4: there is no `{` for this `}`"),
        ("a/{b{c}", "at character 5: a brace inside a parameter must be doubled"),
        ("a//b", "at character 3: a segment must not be empty"),
        ("a?b", "at character 2: a `?` stands only in a parameter"),
        ("{}", "at character 1: a parameter needs a name"),
        ("{?}", "at character 1: a parameter needs a name"),
        ("{a/b}", "at character 1: `a/b` is no name of a parameter"),
        ("{a}{b}", "at character 4: a text must stand between two parameters"),
        ("{a}/x/{A}", "at character 7: the parameter `A` occurs twice"),
        ("{*rest}/a", "at character 9: nothing can follow a catch-all parameter"),
        ("{***rest}", "at character 1: a catch-all parameter has one or two `*`"),
        ("x{*rest}", "at character 1: a catch-all parameter must be the only thing in its segment"),
        (
            "{*rest?}",
            "at character 1: a catch-all parameter can be absent anyway; leave the `?` out",
        ),
        (
            "{a=1?}",
            "at character 1: a parameter with a default value is optional anyway; leave the `?` out",
        ),
        (
            "{a?}/b",
            "at character 6: only parameters that can be left out can follow an optional one",
        ),
        (
            "{a?}/{b}",
            "at character 6: only parameters that can be left out can follow an optional one",
        ),
        (
            "{a?}-{b}",
            "at character 1: within a segment a parameter can be optional only after a last `.`",
        ),
        (
            "{a}-{b?}",
            "at character 1: within a segment a parameter can be optional only after a last `.`",
        ),
        ("{a}-{b=1}", "at character 1: within a segment a parameter cannot have a default value"),
        ("{a:min(1}", "at character 1: there is no `)` for the arguments of a constraint"),
        ("é/{a:max(x)}", "at character 3: `x` is no number that fits here"),
    ] {
        let found = Template::parse(text).expect_err(text);
        assert_eq!(found.to_string(), error, "{text}");
    }
    let error = Template::parse("Database/{key:nope}").expect_err("no such constraint");
    assert!(error.to_string().starts_with("at character 10: there is no constraint `nope`"));
}

#[test]
fn shape_does_not_depend_on_case_and_parameter_names() {
    for (a, b) in [
        ("Database/{key}", "/database/{Id}/"),
        ("{a:int:min(1)}", "{b:int:min(1)}"),
        ("x/{*rest}", "X/{**all}"),
        ("{file}.{ext}", "{name}.{suffix}"),
        ("{p=1}", "{q=2}"),
    ] {
        let shape = |text| Template::parse(text).expect(text).shape();
        assert_eq!(shape(a), shape(b));
    }
}

#[test]
fn shape_depends_on_everything_else() {
    let shapes: Vec<String> = [
        "a/{b}",
        "a/{b?}",
        "a/{b=1}",
        "a/{b:int}",
        "a/{b:alpha}",
        "a/{*b}",
        "a/b",
        "a",
        "",
        "a/{{b}}",
        "a/{b}.{c}",
        "a/{b}-{c}",
    ]
    .iter()
    .map(|text| Template::parse(text).expect(text).shape())
    .collect();
    for (index, shape) in shapes.iter().enumerate() {
        assert!(!shapes[index + 1..].contains(shape), "{shape}");
    }
}

#[test]
fn required_segments_are_counted_up_to_the_optional_end() {
    for (text, count) in [
        ("", 0),
        ("a/{b}", 2),
        ("a/{b?}", 1),
        ("a/{b=1}/{c?}", 1),
        ("a/{b=1}/c", 3),
        ("a/{*rest}", 1),
        ("{file}.{ext?}", 1),
    ] {
        assert_eq!(Template::parse(text).expect(text).required_count, count, "{text}");
    }
}
