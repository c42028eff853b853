//! [`Catalog`]: all components by content hash, and the published functions by name.
//!
//! Names are for new work only. What runs already knows its component by hash and finds it here
//! whether it is published or not, if need be from the copy in the data folder.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use everstate_engine::guest::{EntityOptions, FoundFunction};
use everstate_types::{ComponentHash, FunctionKind, FunctionName};
use tokio::task::spawn_blocking;
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::imports::{client, entity_context, orchestration};
use crate::compile::Compiler;
use crate::component::{Code, LoadedComponent};
use crate::describe::HttpTrigger;
use crate::determinism;
use crate::error::{GuestError, LoadError};
use crate::executor::Host;
use crate::metrics::{Ends, RuntimeMetrics};
use crate::outgoing;
use crate::state::GuestState;

/// A function that was refused because another component has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The kind of the function.
    pub kind: FunctionKind,
    /// The function.
    pub name: FunctionName,
    /// The file that keeps it.
    pub kept: String,
    /// The file whose claim was refused.
    pub refused: String,
}

/// A published HTTP function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFunction {
    /// The function.
    pub name: FunctionName,
    /// The component that has it.
    pub component: ComponentHash,
    /// What starts it.
    pub trigger: HttpTrigger,
}

/// All code that is known.
pub(crate) struct Catalog {
    compiler: Arc<Compiler>,
    linker: Arc<Linker<GuestState>>,
    codes: RwLock<HashMap<ComponentHash, Arc<Code>>>,
    published: RwLock<Published>,
    metrics: Arc<RuntimeMetrics>,
}

/// A published function and the code that runs it.
pub(crate) struct PublishedFunction {
    pub(crate) name: FunctionName,
    pub(crate) code: Arc<Code>,
    /// What an entity function says of its entities.
    pub(crate) entity: Arc<EntityOptions>,
    /// Counts its operations or attempts, if it is an entity function or an activity.
    pub(crate) ends: Option<Ends>,
    file_name: String,
    http: Option<HttpTrigger>,
}

/// Functions by kind, and by name in lower case and as written.
type ByName = [HashMap<String, Arc<PublishedFunction>>; 4];

#[derive(Default)]
struct Published {
    by_name: ByName,
    /// Those of components that are not published any more and that what runs may need.
    retiring: ByName,
    components: HashSet<ComponentHash>,
    https: Vec<HttpFunction>,
}

impl Catalog {
    pub(crate) fn new(
        engine: &Engine,
        data_dir: &Path,
        metrics: Arc<RuntimeMetrics>,
    ) -> Result<Self, LoadError> {
        let linker = linker(engine).map_err(|error| LoadError::Host(format!("{error:#}")))?;
        Ok(Self {
            compiler: Arc::new(Compiler::new(engine, data_dir)?),
            linker: Arc::new(linker),
            codes: RwLock::default(),
            published: RwLock::default(),
            metrics,
        })
    }

    /// Compiles a component that somebody deployed, unless it is here already.
    pub(crate) async fn deploy(&self, bytes: Vec<u8>) -> Result<Arc<Code>, LoadError> {
        let (compiler, linker) = (Arc::clone(&self.compiler), Arc::clone(&self.linker));
        let load_time = self.metrics.component_load.clone();
        let compile = move || {
            let begun = Instant::now();
            let (hash, component) = compiler.deploy(&bytes)?;
            let code = Code::new(hash, &component, &linker);
            load_time.observe(begun.elapsed());
            code
        };
        self.add(spawn_blocking(compile).await)
    }

    /// Compiles a component to look at it. It is neither kept nor found by anybody.
    pub(crate) async fn candidate(&self, bytes: Vec<u8>) -> Result<Arc<Code>, LoadError> {
        let (compiler, linker) = (Arc::clone(&self.compiler), Arc::clone(&self.linker));
        let compile = move || {
            let (hash, component) = compiler.candidate(&bytes)?;
            Code::new(hash, &component, &linker)
        };
        let compiled = spawn_blocking(compile).await;
        compiled.map_err(|panic| LoadError::Host(panic.to_string()))?.map(Arc::new)
    }

    /// Removes what is left of a component that was only looked at.
    pub(crate) async fn discard(&self, hash: ComponentHash) -> io::Result<()> {
        let compiler = Arc::clone(&self.compiler);
        let discard = move || match compiler.kept.has(hash) {
            true => Ok(()),
            false => compiler.remove_compiled(hash),
        };
        spawn_blocking(discard).await.map_err(io::Error::other)?
    }

    /// The bytes of a component that was deployed earlier.
    pub(crate) async fn bytes(&self, hash: ComponentHash) -> Result<Vec<u8>, LoadError> {
        let compiler = Arc::clone(&self.compiler);
        let read = spawn_blocking(move || compiler.kept.read(hash)).await;
        read.map_err(|panic| LoadError::Host(panic.to_string()))?
    }

    /// The code of this hash, in memory or from the data folder.
    pub(crate) async fn code(&self, hash: ComponentHash) -> Result<Arc<Code>, GuestError> {
        if let Some(code) = read(&self.codes).get(&hash) {
            return Ok(Arc::clone(code));
        }
        let (compiler, linker) = (Arc::clone(&self.compiler), Arc::clone(&self.linker));
        let reload = move || Code::new(hash, &compiler.reload(hash)?, &linker);
        self.add(spawn_blocking(reload).await).map_err(|error| {
            tracing::error!(%hash, %error, "the code of running orchestrations cannot be loaded");
            match error {
                LoadError::Missing(hash) => GuestError::ComponentMissing(hash),
                other => GuestError::Host(other.to_string()),
            }
        })
    }

    fn add(
        &self,
        compiled: Result<Result<Code, LoadError>, tokio::task::JoinError>,
    ) -> Result<Arc<Code>, LoadError> {
        let code = compiled.map_err(|panic| LoadError::Host(panic.to_string()))??;
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(codes.entry(code.hash).or_insert_with(|| Arc::new(code))))
    }

    /// The newest function of this kind and name.
    pub(crate) fn find(&self, kind: FunctionKind, name: &str) -> Option<Arc<PublishedFunction>> {
        look_up(&read(&self.published).by_name, kind, name)
    }

    /// The same for what runs: if nothing that is published has it, one that is retiring.
    pub(crate) fn find_for_work(
        &self,
        kind: FunctionKind,
        name: &str,
    ) -> Option<Arc<PublishedFunction>> {
        let published = read(&self.published);
        look_up(&published.by_name, kind, name).or_else(|| look_up(&published.retiring, kind, name))
    }

    /// Whether the code of this hash is here. It is not removed for a while then.
    pub(crate) fn has(&self, hash: ComponentHash) -> bool {
        self.compiler.kept.renew_if_kept(hash)
    }

    /// Makes these components the newest, and lets what runs go on with the retiring ones, of which the
    /// first ones are the newest.
    pub(crate) fn publish(
        &self,
        host: &Host,
        components: &[Arc<LoadedComponent>],
        retiring: &[Arc<LoadedComponent>],
    ) -> Vec<Conflict> {
        let ends_of = |kind, name: &FunctionName| self.metrics.ends_of(kind, name);
        let (mut next, conflicts) = Published::of(components, ends_of);
        // Of several that have a function the newest keeps it, which is no conflict.
        let (others, _) = Published::of(retiring, ends_of);
        next.retiring = others.by_name;
        next.components.extend(others.components);
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *published, next);
        drop(published);
        for hash in before.components {
            // A start that has found it may still be on its way.
            self.compiler.kept.renew(hash);
        }
        self.forget_unpublished(host);
        conflicts
    }

    /// How many components are in memory.
    pub(crate) fn count(&self) -> usize {
        read(&self.codes).len()
    }

    /// Forgets all code.
    pub(crate) fn clear(&self, host: &Host) {
        self.publish(host, &[], &[]);
    }

    /// Drops the code that is neither published nor in use, and idle guests of all that is not
    /// published. An orchestration that still needs it has it loaded again from the data folder.
    fn forget_unpublished(&self, host: &Host) {
        let published = read(&self.published).components.clone();
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|hash, code| {
            let is_published = published.contains(hash);
            if is_published {
                code.keep_idle_guests();
            } else {
                code.drop_idle_guests(host);
            }
            is_published || Arc::strong_count(code) > 1
        });
    }

    /// Removes the kept components, with their compiled code, that are neither published nor in
    /// `needed` and were not for a while. Says how many.
    pub(crate) fn remove_unneeded(&self, needed: &HashSet<ComponentHash>) -> io::Result<usize> {
        let is_published = |hash| read(&self.published).components.contains(&hash);
        let removed = self.compiler.kept.remove_unneeded(needed, is_published)?;
        for &hash in &removed {
            self.compiler.remove_compiled(hash)?;
        }
        Ok(removed.len())
    }

    /// The published HTTP functions, in the order in which they were given.
    pub(crate) fn http_functions(&self) -> Vec<HttpFunction> {
        read(&self.published).https.clone()
    }
}

/// What publishing these components would give: the HTTP functions, and those that are refused.
pub(crate) fn preview(components: &[Arc<LoadedComponent>]) -> (Vec<HttpFunction>, Vec<Conflict>) {
    let (published, conflicts) = Published::of(components, |_, _| None);
    (published.https, conflicts)
}

impl PublishedFunction {
    pub(crate) fn found(&self) -> FoundFunction {
        FoundFunction { name: self.name.clone(), component: self.code.hash }
    }
}

impl Published {
    /// The functions of these components, and those that are refused.
    fn of(
        components: &[Arc<LoadedComponent>],
        ends_of: impl Fn(FunctionKind, &FunctionName) -> Option<Ends>,
    ) -> (Self, Vec<Conflict>) {
        let mut published = Self::default();
        let mut conflicts = Vec::new();
        for component in components {
            for function in &component.functions {
                let kind = function.kind;
                let function = PublishedFunction {
                    name: function.name.clone(),
                    code: Arc::clone(&component.code),
                    entity: Arc::clone(&function.entity),
                    ends: ends_of(kind, &function.name),
                    file_name: component.file_name.clone(),
                    http: function.http.clone(),
                };
                conflicts.extend(published.add(kind, function));
            }
        }
        published.components = components.iter().map(|component| component.hash).collect();
        (published, conflicts)
    }

    /// Adds a function, unless another component has it.
    fn add(&mut self, kind: FunctionKind, function: PublishedFunction) -> Option<Conflict> {
        let functions = &mut self.by_name[kind as usize];
        let name = function.name.as_str();
        if let Some(first) = functions.get(&name.to_ascii_lowercase()) {
            return Some(Conflict {
                kind,
                name: function.name,
                kept: first.file_name.clone(),
                refused: function.file_name,
            });
        }
        if let Some(trigger) = &function.http {
            let name = function.name.clone();
            let component = function.code.hash;
            self.https.push(HttpFunction { name, component, trigger: trigger.clone() });
        }
        // Entities are asked for in lower case of every script, others as they were written.
        let keys = [name.to_owned(), name.to_ascii_lowercase(), name.to_lowercase()];
        let function = Arc::new(function);
        functions.extend(keys.map(|key| (key, Arc::clone(&function))));
        None
    }
}

/// Everything that a guest may import.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    determinism::add_to_linker(&mut linker)?;
    outgoing::add_to_linker(&mut linker)?;
    orchestration::add_to_linker::<GuestState, HasSelf<GuestState>>(&mut linker, |state| state)?;
    entity_context::add_to_linker::<GuestState, HasSelf<GuestState>>(&mut linker, |state| state)?;
    client::add_to_linker::<GuestState, HasSelf<GuestState>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Names are written as their authors did, or in any case.
fn look_up(functions: &ByName, kind: FunctionKind, name: &str) -> Option<Arc<PublishedFunction>> {
    let functions = &functions[kind as usize];
    functions.get(name).or_else(|| functions.get(&name.to_ascii_lowercase())).cloned()
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
