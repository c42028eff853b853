//! The tables are in order.

use std::collections::HashSet;

use super::doc::Place;
use super::{Base, is_own_path, routes};
use crate::template::{Segment, Template};

#[test]
fn every_route_is_there_once_and_has_an_id_of_its_own() {
    let (mut shapes, mut ids) = (HashSet::new(), HashSet::new());
    for route in routes() {
        let template = Template::parse(&route.template()).expect("a template");
        assert!(shapes.insert((route.method, template.shape())), "{} twice", route.template());
        assert!(ids.insert(route.doc.id), "{} twice", route.doc.id);
        let is_fixed = template.segments.iter().all(|s| matches!(s, Segment::Literal(_)));
        assert!(is_fixed || route.base != Base::Root, "{} has parameters", route.template());
    }
}

#[test]
fn every_parameter_of_a_path_is_documented() {
    for route in routes() {
        let template = Template::parse(&route.template()).expect("a template");
        let names: Vec<&str> = template.segments.iter().filter_map(parameter_name).collect();
        let documented: Vec<&str> = route
            .doc
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Path)
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(documented, names, "{}", route.doc.id);
    }
}

fn parameter_name(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Parameter(parameter) | Segment::CatchAll(parameter) => Some(&parameter.name),
        Segment::Literal(_) | Segment::Complex(_) => None,
    }
}

#[test]
fn path_of_the_host_is_its_own_and_what_is_beside_it_is_not() {
    for (path, is_own) in [
        ("/runtime/health", true),
        ("/Runtime/HEALTH/", true),
        ("/runtime/healthy", false),
        ("/runtime", false),
        ("/", false),
    ] {
        assert_eq!(is_own_path(path), is_own, "{path}");
    }
}
