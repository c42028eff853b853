//! What the attributes accept, and what the compiler says about each mistake: a file a mistake in
//! `tests/ui`, with the message beside it.

#[test]
fn mistakes_are_explained_where_they_are_made() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui-pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
