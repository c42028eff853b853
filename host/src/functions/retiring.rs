//! Components that are not served any more: what runs with them finds their functions until nothing is
//! pinned to them.
//!
//! Which ones they are stands in a file of the data folder, so that what runs finds them right after
//! a start. What is pinned is counted from time to time ([`FunctionsFolder::retire`]); nobody waits for that, so a
//! component goes only when two counts say so, because what was just on its way is in none of them. A count
//! also finds what the file does not say.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

use everstate_http::{DeploymentAction, Warning};
use everstate_runtime::LoadedComponent;
use everstate_types::{ComponentHash, FunctionKind, FunctionName};

use super::FunctionsFolder;
use super::loaded::Loaded;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Live orchestrations by the component that they are pinned to.
    pub(crate) pinned: HashMap<ComponentHash, u64>,
    /// Entity functions of missing files that have entities.
    pub(crate) entities: HashSet<FunctionName>,
}

/// What the counts have said so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    last: Option<Counted>,
    /// Not needed as of the last count.
    unneeded: HashSet<ComponentHash>,
    /// Cannot be loaded: tried once.
    lost: HashSet<ComponentHash>,
}

impl FunctionsFolder {
    /// Whether there is anything for which what is pinned has to be counted.
    pub(crate) async fn is_retiring(&self) -> bool {
        let loaded = self.loaded.lock().await;
        !loaded.retiring.is_empty() || !loaded.missing.is_empty()
    }

    /// The entity functions of the files that are missing.
    pub(crate) async fn missing_entities(&self) -> Vec<FunctionName> {
        let loaded = self.loaded.lock().await;
        loaded.missing.values().flat_map(|hash| entities_of(&loaded, *hash)).collect()
    }

    /// Lets go of what nothing needs any more, and takes in what is needed and was not known.
    pub(crate) async fn retire(&self, counted: Counted) {
        let mut loaded = self.loaded.lock().await;
        let before = hashes(&loaded.retiring);
        let served = hashes(&loaded.components());
        for hash in counted.pinned.keys() {
            if !served.contains(hash) && !before.contains(hash) {
                self.take_retiring(&mut loaded, *hash).await;
            }
        }
        let is_needed = |hash: &ComponentHash| counted.pinned.contains_key(hash);
        let known = hashes(&loaded.retiring);
        let kept = loaded.missing.values().copied().collect::<HashSet<_>>();
        let unneeded: HashSet<_> =
            known.iter().chain(&kept).filter(|hash| !is_needed(hash)).copied().collect();
        let over: Vec<_> = unneeded.intersection(&loaded.counts.unneeded).copied().collect();
        loaded.counts.unneeded = unneeded;
        let has_entities = |hash: ComponentHash| {
            entities_of(&loaded, hash).iter().any(|name| counted.entities.contains(name))
        };
        let is_gone = |hash: &ComponentHash| over.contains(hash) && !has_entities(*hash);
        let gone: Vec<String> = loaded
            .missing
            .iter()
            .filter(|(_, hash)| is_gone(hash))
            .map(|(file, _)| file.clone())
            .collect();
        for file in gone {
            tracing::info!(file, "nothing needs the component that is not there any more");
            loaded.missing.remove(&file);
            self.record.note(&file, None, DeploymentAction::Removed, None);
        }
        let missing: HashSet<_> = loaded.missing.values().copied().collect();
        loaded.retiring.retain(|it| !over.contains(&it.hash) || missing.contains(&it.hash));
        loaded.counts.last = Some(counted);
        if hashes(&loaded.retiring) != before {
            self.write_retiring(&loaded.retiring);
            // What is served stays as it is: its conflicts were told.
            drop(self.runtime.publish_beside(&loaded.components(), &loaded.retiring));
        }
        self.warn(&loaded);
    }

    /// Takes in, after a start, what was retiring before or was served and is not any more.
    pub(super) async fn take_former(&self, loaded: &mut Loaded, former: Vec<ComponentHash>) {
        let served = hashes(&loaded.components());
        for hash in former {
            if !served.contains(&hash) && loaded.retiring.iter().all(|it| it.hash != hash) {
                self.take_retiring(loaded, hash).await;
            }
        }
    }

    async fn take_retiring(&self, loaded: &mut Loaded, hash: ComponentHash) {
        if loaded.counts.lost.contains(&hash) {
            return;
        }
        let file = self.record.file_of(hash).unwrap_or_else(|| "unknown".to_owned());
        let component = async {
            let bytes = self.runtime.kept_component(hash).await?;
            self.runtime.load(&file, bytes).await
        };
        match component.await {
            Ok(component) => loaded.retiring.push(component),
            Err(error) => {
                tracing::warn!(file, %hash, "an earlier version cannot be loaded: {error}");
                loaded.counts.lost.insert(hash);
            }
        }
    }

    /// What is served now is not retiring, and what is served no more is.
    pub(super) fn note_retiring(&self, loaded: &mut Loaded, before: &[Arc<LoadedComponent>]) {
        let known = hashes(&loaded.retiring);
        let components = loaded.components();
        let served = hashes(&components);
        loaded.retiring.retain(|it| !served.contains(&it.hash));
        for component in before.iter().filter(|it| !served.contains(&it.hash)) {
            if loaded.retiring.iter().all(|it| it.hash != component.hash) {
                loaded.retiring.insert(0, Arc::clone(component));
            }
        }
        if hashes(&loaded.retiring) != known {
            self.write_retiring(&loaded.retiring);
        }
    }

    /// The components that were retiring when the host ended.
    pub(super) fn read_retiring(&self) -> Vec<ComponentHash> {
        let text = fs::read_to_string(&self.retiring_path);
        text.unwrap_or_default().lines().filter_map(ComponentHash::from_hex).collect()
    }

    /// What is lost by a failure is found again by counting.
    fn write_retiring(&self, retiring: &[Arc<LoadedComponent>]) {
        let text: String = retiring.iter().map(|it| format!("{}\n", it.hash)).collect();
        if let Err(error) = replace(&self.retiring_path, &text) {
            let path = self.retiring_path.display();
            tracing::warn!(%path, "which components are retiring is not written down: {error}");
        }
    }

    /// Says what is wrong with the folder and its files.
    pub(super) fn warn(&self, loaded: &Loaded) {
        let mut warnings = self.shown().warnings.clone();
        warnings.extend(loaded.unreadable.as_ref().map(|message| Warning {
            kind: "functionsFolder",
            file: None,
            message: message.clone(),
        }));
        let mut missing: Vec<_> = loaded.missing.iter().collect();
        missing.sort();
        warnings.extend(missing.into_iter().map(|(file, hash)| Warning {
            kind: "missingComponent",
            file: Some(file.clone()),
            message: missing_message(loaded, file, *hash),
        }));
        self.warnings.set(warnings);
    }
}

fn missing_message(loaded: &Loaded, file: &str, hash: ComponentHash) -> String {
    let counted = loaded.counts.last.as_ref();
    let pinned = counted.and_then(|counted| counted.pinned.get(&hash)).copied().unwrap_or_default();
    let entities: Vec<_> = entities_of(loaded, hash)
        .iter()
        .filter(|name| counted.is_some_and(|counted| counted.entities.contains(*name)))
        .map(ToString::to_string)
        .collect();
    let mut needs = Vec::new();
    if pinned > 0 {
        needs.push(format!("{pinned} live orchestrations"));
    }
    if !entities.is_empty() {
        needs.push(format!("entities ({})", entities.join(", ")));
    }
    let need = match needs.is_empty() {
        true => String::new(),
        false => format!("; {} need it", needs.join(" and ")),
    };
    format!(
        "it was served when the host ended and is not in the functions folder{need}: put it back, or \
         say that it is meant with `everstate deploy --remove {file}`"
    )
}

fn entities_of(loaded: &Loaded, hash: ComponentHash) -> Vec<FunctionName> {
    let component = loaded.retiring.iter().find(|it| it.hash == hash);
    let functions = component.into_iter().flat_map(|component| &component.functions);
    let entities = functions.filter(|function| function.kind == FunctionKind::Entity);
    entities.map(|function| function.name.clone()).collect()
}

fn hashes(components: &[Arc<LoadedComponent>]) -> Vec<ComponentHash> {
    components.iter().map(|component| component.hash).collect()
}

/// Writes a file so that it is there as a whole or as it was.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), super::sync_folder)
}
