//! Filters of guests as the engine takes them, and the engine's pages as guests see them.

use everstate_engine::storage;
use everstate_types::{Payload, RuntimeStatus, Timestamp};

use crate::bindings::imports::client::{
    self, EntityFilter, EntityQuery, InstanceFilter, InstancePage, InstanceQuery,
};
use crate::bindings::imports::types::HostError;
use crate::convert::{function_name, invalid, to_instance_status};

/// Instances or entities of a page where the guest did not say how many.
const PAGE_SIZE_DEFAULT: usize = 100;

/// Most instances or entities of a page.
const PAGE_SIZE_MAX: usize = 1_000;

pub(super) fn instance_query(query: InstanceQuery) -> Result<storage::InstanceQuery, HostError> {
    Ok(storage::InstanceQuery {
        filter: instance_filter(query.filter)?,
        page_size: page_size(query.page_size),
        continuation: query.continuation_token,
    })
}

pub(super) fn entity_query(query: EntityQuery) -> Result<storage::EntityQuery, HostError> {
    Ok(storage::EntityQuery {
        filter: entity_filter(query.filter)?,
        page_size: page_size(query.page_size),
        continuation: query.continuation_token,
        fetches_state: query.fetch_state,
    })
}

pub(super) fn entity_filter(filter: EntityFilter) -> Result<storage::EntityFilter, HostError> {
    let field = |(name, value): (String, String)| (name, Payload::from(value));
    Ok(storage::EntityFilter {
        name: filter.name.as_deref().map(function_name).transpose()?,
        key_prefix: filter.key_prefix,
        last_operation_from: filter.last_operation_from.map(Timestamp::from_millis),
        last_operation_to: filter.last_operation_to.map(Timestamp::from_millis),
        fields: filter.fields.into_iter().map(field).collect(),
        includes_stateless: filter.include_stateless,
        only_locked: false,
    })
}

fn page_size(wanted: u32) -> usize {
    match usize::try_from(wanted).unwrap_or(PAGE_SIZE_MAX) {
        0 => PAGE_SIZE_DEFAULT,
        wanted => wanted.min(PAGE_SIZE_MAX),
    }
}

pub(super) fn instance_filter(
    filter: InstanceFilter,
) -> Result<storage::InstanceFilter, HostError> {
    Ok(storage::InstanceFilter {
        name: filter.name.as_deref().map(function_name).transpose()?,
        statuses: filter.statuses.into_iter().map(status).collect::<Result<_, _>>()?,
        created_from: filter.created_from.map(Timestamp::from_millis),
        created_to: filter.created_to.map(Timestamp::from_millis),
        id_prefix: filter.instance_id_prefix,
        tags: filter.tags,
        custom_status: filter.custom_status.map(Payload::from),
    })
}

pub(super) fn to_instance_page(page: storage::InstancePage, shows_input: bool) -> InstancePage {
    let shown = |(id, record)| to_instance_status(&id, &record, shows_input);
    InstancePage {
        instances: page.instances.into_iter().map(shown).collect(),
        continuation_token: page.continuation,
    }
}

fn status(status: client::RuntimeStatus) -> Result<RuntimeStatus, HostError> {
    Ok(match status {
        client::RuntimeStatus::Pending => RuntimeStatus::Pending,
        client::RuntimeStatus::Running => RuntimeStatus::Running,
        client::RuntimeStatus::Suspended => RuntimeStatus::Suspended,
        client::RuntimeStatus::Completed => RuntimeStatus::Completed,
        client::RuntimeStatus::Failed => RuntimeStatus::Failed,
        client::RuntimeStatus::Terminated => RuntimeStatus::Terminated,
        client::RuntimeStatus::ContinuedAsNew => {
            return Err(invalid(
                &"no orchestration has the status `continued-as-new`: it goes on as `running`",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use everstate_types::{Payload, RuntimeStatus, Timestamp};

    use super::{entity_query, instance_filter, instance_query};
    use crate::bindings::imports::client::{
        self, EntityFilter, EntityQuery, InstanceFilter, InstanceQuery,
    };
    use crate::bindings::imports::types::HostError;

    fn filter() -> InstanceFilter {
        InstanceFilter {
            name: None,
            statuses: Vec::new(),
            created_from: None,
            created_to: None,
            instance_id_prefix: None,
            tags: Vec::new(),
            custom_status: None,
        }
    }

    #[test]
    fn filter_keeps_its_conditions() {
        let tag = ("a".to_owned(), "b".to_owned());
        let filter = instance_filter(InstanceFilter {
            name: Some("Hello".to_owned()),
            statuses: vec![client::RuntimeStatus::Failed],
            created_from: Some(1),
            created_to: Some(2),
            instance_id_prefix: Some("p".to_owned()),
            tags: vec![tag.clone()],
            custom_status: Some("1".to_owned()),
        });
        let filter = filter.expect("a good filter");
        assert_eq!(filter.name.expect("a name").as_str(), "Hello");
        assert_eq!(filter.statuses, [RuntimeStatus::Failed]);
        assert_eq!(filter.created_from, Some(Timestamp::from_millis(1)));
        assert_eq!(filter.created_to, Some(Timestamp::from_millis(2)));
        assert_eq!(filter.id_prefix.as_deref(), Some("p"));
        assert_eq!(filter.tags, [tag]);
        assert_eq!(filter.custom_status.expect("one").as_str(), "1");
    }

    #[test]
    fn status_that_no_orchestration_has_is_refused() {
        let statuses = vec![client::RuntimeStatus::ContinuedAsNew];
        let refused = instance_filter(InstanceFilter { statuses, ..filter() });
        assert!(matches!(refused, Err(HostError::InvalidArgument(_))), "{refused:?}");
    }

    #[test]
    fn page_has_a_hundred_instances_unless_the_guest_says_otherwise_and_a_thousand_at_most() {
        for (wanted, given) in [(0, 100), (1, 1), (1_000, 1_000), (u32::MAX, 1_000)] {
            let query = instance_query(InstanceQuery {
                filter: filter(),
                page_size: wanted,
                continuation_token: None,
                show_input: false,
            });
            assert_eq!(query.expect("a good query").page_size, given);
        }
    }

    fn entities(name: &str, page_size: u32) -> EntityQuery {
        EntityQuery {
            filter: EntityFilter {
                name: Some(name.to_owned()),
                key_prefix: Some("k".to_owned()),
                last_operation_from: Some(1),
                last_operation_to: Some(2),
                fields: vec![("owner".to_owned(), "\"a\"".to_owned())],
                include_stateless: true,
            },
            page_size,
            continuation_token: Some("t".to_owned()),
            fetch_state: true,
        }
    }

    #[test]
    fn query_of_entities_keeps_its_conditions() {
        let query = entity_query(entities("Counter", 7)).expect("a good query");
        assert_eq!((query.page_size, query.fetches_state), (7, true));
        assert_eq!(query.continuation.as_deref(), Some("t"));
        let filter = query.filter;
        assert_eq!(filter.name.expect("a name").as_str(), "Counter");
        assert_eq!(filter.key_prefix.as_deref(), Some("k"));
        assert_eq!(filter.last_operation_from, Some(Timestamp::from_millis(1)));
        assert_eq!(filter.last_operation_to, Some(Timestamp::from_millis(2)));
        assert_eq!(filter.fields, [("owner".to_owned(), Payload::from("\"a\""))]);
        assert!(filter.includes_stateless);
    }

    #[test]
    fn page_of_entities_is_as_large_as_one_of_instances() {
        for (wanted, given) in [(0, 100), (1, 1), (1_001, 1_000)] {
            let query = entity_query(entities("Counter", wanted)).expect("a good query");
            assert_eq!(query.page_size, given);
        }
    }

    #[test]
    fn name_that_no_entity_function_can_have_is_refused() {
        let refused = entity_query(entities("a b", 1));
        assert!(matches!(refused, Err(HostError::InvalidArgument(_))), "{refused:?}");
    }
}
