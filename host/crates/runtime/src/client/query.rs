//! Filters of guests as the engine takes them, and the engine's pages as guests see them.

use everstate_engine::storage;
use everstate_types::{Payload, RuntimeStatus, Timestamp};

use crate::bindings::imports::client::{self, InstanceFilter, InstancePage, InstanceQuery};
use crate::bindings::imports::types::HostError;
use crate::convert::{function_name, invalid, to_instance_status};

/// Instances of a page where the guest did not say how many.
const PAGE_SIZE_DEFAULT: usize = 100;

/// Most instances of a page.
const PAGE_SIZE_MAX: usize = 1_000;

pub(super) fn instance_query(query: InstanceQuery) -> Result<storage::InstanceQuery, HostError> {
    let page_size = match usize::try_from(query.page_size).unwrap_or(PAGE_SIZE_MAX) {
        0 => PAGE_SIZE_DEFAULT,
        wanted => wanted.min(PAGE_SIZE_MAX),
    };
    Ok(storage::InstanceQuery {
        filter: instance_filter(query.filter)?,
        page_size,
        continuation: query.continuation_token,
    })
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
    use everstate_types::{RuntimeStatus, Timestamp};

    use super::{instance_filter, instance_query};
    use crate::bindings::imports::client::{self, InstanceFilter, InstanceQuery};
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
}
