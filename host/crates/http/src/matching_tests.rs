//! Tests of templates against paths.

use crate::path::RequestPath;
use crate::template::Template;

/// The values as `a=1,b=2`, or `no match`.
fn matched(template: &str, path: &str) -> String {
    let parsed = Template::parse(template).expect(template);
    let path = RequestPath::parse(path).expect(path);
    let Some(values) = parsed.match_path(&path) else { return "no match".to_owned() };
    let pairs: Vec<String> =
        values.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(",")
}

#[test]
fn template_matches_paths_as_the_original_does() {
    for (template, path, expected) in [
        ("Database/{key}", "/Database/1", "key=1"),
        ("Database/{key}", "/dataBASE/1", "key=1"),
        ("Database/{key}", "/Database/1/", "key=1"),
        ("Database/{key}", "/Database/", "no match"),
        ("Database/{key}", "/Database//", "no match"),
        ("Database/{key}", "/Database", "no match"),
        ("Database/{key}", "/Database/1/2", "no match"),
        ("Database/{key}", "//Database/1", "no match"),
        ("Database/{key}", "/Data%62ase/a%2Fb", "key=a/b"),
        ("Database/{key}", "/Database/%20a+b", "key= a+b"),
        ("", "/", ""),
        ("", "/a", "no match"),
        ("a b", "/a%20b", ""),
        ("Ärger", "/%C3%A4rger", ""),
        ("{{x}}", "/%7Bx%7D", ""),
        ("a/{b?}", "/a", ""),
        ("a/{b?}", "/a/", ""),
        ("a/{b?}", "/a/1", "b=1"),
        ("a/{b=7}", "/a", "b=7"),
        ("a/{b=7}", "/a/1", "b=1"),
        ("a/{b=7}/{c?}", "/a", "b=7"),
        ("a/{b=7}/c", "/a/c", "no match"),
        ("files/{*rest}", "/files", ""),
        ("files/{*rest}", "/files/", ""),
        ("files/{*rest}", "/files/a/b%20c/", "rest=a/b c/"),
        ("files/{**rest=index}", "/files", "rest=index"),
        ("files/{*rest:maxlength(3)}", "/files/a/b", "rest=a/b"),
        ("files/{*rest:maxlength(3)}", "/files/a/bc", "no match"),
        ("{id:int:min(1)}", "/1", "id=1"),
        ("{id:int:min(1)}", "/0", "no match"),
        ("{id:int?}", "/", ""),
        ("{id:int?}", "/x", "no match"),
        ("{zip:regex(^\\d{{5}}$)}", "/12345", "zip=12345"),
        ("{zip:regex(^\\d{{5}}$)}", "/1234", "no match"),
        ("{x:regex(^(a|b):c$)}", "/a:c", "x=a:c"),
    ] {
        assert_eq!(matched(template, path), expected, "{template} and {path}");
    }
}

#[test]
fn segment_of_several_parts_matches_from_the_right() {
    for (template, path, expected) in [
        ("{file}.{ext}", "/a.tar.gz", "file=a.tar,ext=gz"),
        ("{file}.{ext}", "/a.", "no match"),
        ("{file}.{ext}", "/.gz", "no match"),
        ("{file}.{ext}", "/a", "no match"),
        ("{file}.{ext?}", "/a.gz", "file=a,ext=gz"),
        ("{file}.{ext?}", "/a", "file=a"),
        ("{a}-{b}", "/1-2-3", "a=1-2,b=3"),
        ("{a}-{b:int}", "/1-x", "no match"),
        ("v{major}.{minor}", "/V1.2", "major=1,minor=2"),
        ("v{major}.{minor}", "/1.2", "no match"),
        ("a{x}", "/aab", "x=ab"),
        ("a{x}", "/a", "no match"),
        ("file.{ext}", "/file.txt", "ext=txt"),
        ("{x}suffix", "/somesuffix", "x=some"),
        ("{x}suffix", "/suffix", "no match"),
        ("({x},{y})", "/(1,2)", "x=1,y=2"),
        ("{a}-{b}", "/%F0%9F%98%80-%C3%A9", "a=😀,b=é"),
    ] {
        assert_eq!(matched(template, path), expected, "{template} and {path}");
    }
}
