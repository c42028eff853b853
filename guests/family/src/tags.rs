//! Tags: given at the start, inherited by children and activities.

use std::collections::BTreeMap;

use everstate_sdk::{
    ActivityContext, ChildOptions, Failure, OrchestrationContext, activity, orchestrator,
};
use serde::{Deserialize, Serialize};

type Tags = BTreeMap<String, String>;

/// Who sees which tags.
#[derive(Serialize, Deserialize)]
struct Seen {
    own: Tags,
    child: Tags,
    activity: Tags,
}

#[activity]
fn ActivityTags(context: ActivityContext) -> Tags {
    context.tags().iter().cloned().collect()
}

#[orchestrator]
async fn ChildTags(context: OrchestrationContext) -> Tags {
    context.tags().iter().cloned().collect()
}

/// Looks in its second generation, if there is to be one.
#[orchestrator]
async fn Tagged(context: OrchestrationContext, starts_over: bool) -> Result<Option<Seen>, Failure> {
    if starts_over {
        context.continue_as_new(&false)?;
        return Ok(None);
    }
    let tags = |name: &str| vec![("level".to_owned(), name.to_owned())];
    let options = ChildOptions { tags: tags("child"), ..Default::default() };
    Ok(Some(Seen {
        own: context.tags().iter().cloned().collect(),
        child: context.call_sub_orchestration("ChildTags", &(), &options).await?,
        activity: context.call_activity_with_tags("ActivityTags", &(), &tags("activity")).await?,
    }))
}
