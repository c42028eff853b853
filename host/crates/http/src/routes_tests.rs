//! Tests of the route table: precedence, methods, conflicts.

use everstate_types::{AuthorizationLevel, ComponentHash, FunctionName};

use super::{RouteConflictReason, RouteEntry, RouteTable, SharedRoutes};
use crate::matcher::Found;

fn entry(function: &str, methods: &[&str], route: &str) -> RouteEntry {
    RouteEntry {
        function: name(function),
        component: ComponentHash([0; 32]),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        route: route.to_owned(),
        level: AuthorizationLevel::Anonymous,
    }
}

fn name(function: &str) -> FunctionName {
    FunctionName::new(function).expect("a valid name")
}

/// A table in which nothing is refused.
fn table(entries: &[RouteEntry]) -> RouteTable {
    let (table, conflicts) = RouteTable::build(entries);
    assert_eq!(conflicts, []);
    table
}

/// The function's name, or the status of the refusal.
fn found(table: &RouteTable, method: &str, path: &str) -> String {
    match table.find(method, path) {
        Found::Route { target, .. } => target.function.name.to_string(),
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
        Found::Nothing => "404".to_owned(),
        Found::Malformed => "400".to_owned(),
    }
}

#[test]
fn more_specific_route_wins_whatever_the_order() {
    let mut entries = vec![
        entry("catch-all", &[], "{*rest}"),
        entry("catch-all-a", &[], "a/{*rest}"),
        entry("any", &[], "a/{x}"),
        entry("number", &[], "a/{x:int}"),
        entry("parts", &[], "a/{x}.{y}"),
        entry("literal", &[], "a/b"),
        entry("prefix", &[], "a"),
        entry("deep", &[], "{x}/b/c"),
        entry("shallow", &[], "a/{x}/c"),
    ];
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        let table = table(&entries);
        for (path, function) in [
            ("/A/B", "literal"),
            ("/a/1.5", "parts"),
            ("/a/1", "number"),
            ("/a/x", "any"),
            ("/a", "prefix"),
            ("/a/x/y", "catch-all-a"),
            ("/a/b/c", "shallow"),
            ("/z/b/c", "deep"),
            ("/z", "catch-all"),
            ("/", "catch-all"),
        ] {
            assert_eq!(found(&table, "GET", path), function, "{path}");
        }
    }
}

#[test]
fn wrong_method_on_a_known_route_names_the_right_ones_in_order() {
    let table = table(&[
        entry("Database_HttpStart", &["get", "PUT"], "Database/{key}"),
        entry("Database_Delete", &["DELETE"], "database/{id}"),
        entry("Other", &["POST"], "other"),
    ]);
    assert_eq!(found(&table, "PUT", "/Database/1"), "Database_HttpStart");
    assert_eq!(found(&table, "DELETE", "/Database/1"), "Database_Delete");
    assert_eq!(found(&table, "POST", "/Database/1"), "405 GET, PUT, DELETE");
    assert_eq!(found(&table, "HEAD", "/Database/1"), "405 GET, PUT, DELETE");
    assert_eq!(found(&table, "GET", "/Database"), "404");
    assert_eq!(found(&table, "GET", "/Database/%zz"), "400");
}

#[test]
fn route_whose_method_does_not_fit_is_passed_over() {
    let table = table(&[entry("literal", &["PUT"], "a/b"), entry("parameter", &["GET"], "a/{x}")]);
    assert_eq!(found(&table, "GET", "/a/b"), "parameter");
    assert_eq!(found(&table, "PUT", "/a/b"), "literal");
    assert_eq!(found(&table, "POST", "/a/b"), "405 PUT, GET");
}

#[test]
fn conflicting_route_is_refused_and_the_first_one_works() {
    let (table, conflicts) = RouteTable::build(&[
        entry("First", &["GET", "PUT"], "Database/{key}"),
        entry("Second", &["put"], "/database/{id}/"),
        entry("Third", &[], "Database/{x}"),
        entry("Fourth", &["POST"], "Database/{x}"),
        entry("Fifth", &["GET"], "Database/{x:int}"),
    ]);
    let taken = RouteConflictReason::Taken(name("First"));
    let refused: Vec<_> =
        conflicts.iter().map(|conflict| (conflict.function.as_str(), &conflict.reason)).collect();
    assert_eq!(refused, [("Second", &taken), ("Third", &taken)]);
    assert_eq!(
        conflicts[0].to_string(),
        "function `Second`, route `/database/{id}/`: \
         the route specified conflicts with the route defined by function `First`"
    );
    assert_eq!(found(&table, "PUT", "/Database/a"), "First");
    assert_eq!(found(&table, "POST", "/Database/a"), "Fourth");
    assert_eq!(found(&table, "GET", "/Database/1"), "Fifth");
}

#[test]
fn route_that_belongs_to_the_host_or_cannot_be_read_is_refused_by_name() {
    let (_, conflicts) = RouteTable::build(&[
        entry("A", &[], "Runtime/x"),
        entry("B", &[], "/admin"),
        entry("C", &[], "administrators"),
        entry("D", &[], "a/{b"),
        entry("E", &["G ET"], "e"),
    ]);
    let texts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "function `A`, route `Runtime/x`: \
             the specified route conflicts with one or more built in routes",
            "function `B`, route `/admin`: \
             the specified route conflicts with one or more built in routes",
            "function `D`, route `a/{b`: \
             the route template cannot be read, at character 3: there is no `}` for this `{`",
            "function `E`, route `e`: `G ET` is no HTTP method",
        ]
    );
}

#[test]
fn own_path_of_the_host_is_refused_and_its_neighbours_are_free() {
    let (_, conflicts) = RouteTable::build(&[
        entry("A", &[], "/Health/Live/"),
        entry("B", &["POST"], "health/ready"),
        entry("C", &[], "health"),
        entry("D", &[], "health/{part}"),
        entry("E", &[], "healthy"),
    ]);
    let refused: Vec<&str> = conflicts.iter().map(|conflict| conflict.function.as_str()).collect();
    assert_eq!(refused, ["A", "B"]);
    assert!(conflicts.iter().all(|conflict| conflict.reason == RouteConflictReason::BuiltIn));
}

#[test]
fn replaced_table_is_used_by_new_requests_only() {
    let shared = SharedRoutes::new(table(&[entry("Old", &[], "a")]));
    let before = shared.load();
    shared.replace(table(&[entry("New", &[], "a")]));
    assert_eq!(found(&before, "GET", "/a"), "Old");
    assert_eq!(found(&shared.load(), "GET", "/a"), "New");
    shared.replace(RouteTable::empty());
    assert_eq!(found(&shared.load(), "GET", "/a"), "404");
}
