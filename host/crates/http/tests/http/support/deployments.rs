//! A folder of components that keeps what it is given, and refuses some of it.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use everstate_http::{
    CheckReport, DeployOptions, Deployed, Deployment, DeploymentAction, DeploymentError,
    DeploymentFuture, Deployments, Diverging, FileCondition, FileState, FunctionState,
    FunctionsState, Migration, Upload,
};
use everstate_types::{
    AuthorizationLevel, ComponentHash, FunctionKind, FunctionName, InstanceId, Timestamp,
};

const HASH: ComponentHash = ComponentHash([0xab; 32]);

/// What was deployed: file and content. A component that begins with `bad` cannot be loaded, one that begins
/// with `other` does not fit what runs; none may have more than 100 bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeDeployments(Arc<Mutex<Vec<(String, String)>>>);

impl FakeDeployments {
    pub(crate) fn deployed(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().expect("no panic")
    }
}

struct FakeUpload {
    file: String,
    text: String,
    into: FakeDeployments,
}

fn function(file: &str) -> FunctionState {
    FunctionState {
        name: FunctionName::new("Hello_HttpStart").expect("a valid name"),
        kind: FunctionKind::Http,
        file: file.to_owned(),
        component: HASH,
        http: Some((vec!["GET".to_owned()], "hello".to_owned(), AuthorizationLevel::Function)),
    }
}

fn served(file: &str) -> Deployed {
    let functions = vec![function(file)];
    let (check, migration, problem) = (None, None, None);
    Deployed { file: file.to_owned(), component: HASH, functions, check, migration, problem }
}

fn report(file: &str, text: &str) -> CheckReport {
    let mut report = CheckReport { file: file.to_owned(), checked: 3, ..CheckReport::default() };
    if text.starts_with("other") {
        report.diverging_count = 1;
        report.diverging.push(diverging());
    }
    report
}

fn diverging() -> Diverging {
    Diverging {
        instance_id: InstanceId::orchestration("a").expect("a valid id"),
        name: FunctionName::new("Hello").expect("a valid name"),
        message: "at event 3".to_owned(),
    }
}

fn loaded(text: &str) -> Result<(), DeploymentError> {
    match text.starts_with("bad") {
        true => Err(DeploymentError::Refused("not a component".to_owned())),
        false => Ok(()),
    }
}

impl Upload for FakeUpload {
    fn write(&mut self, piece: Bytes) -> DeploymentFuture<'_, ()> {
        self.text.push_str(std::str::from_utf8(&piece).expect("text"));
        let is_large = self.text.len() > 100;
        Box::pin(async move { if is_large { Err(DeploymentError::TooLarge(100)) } else { Ok(()) } })
    }

    fn deploy(self: Box<Self>, options: DeployOptions) -> DeploymentFuture<'static, Deployed> {
        Box::pin(async move {
            let Self { file, text, into } = *self;
            loaded(&text)?;
            let check = options.checks.then(|| report(&file, &text));
            if let Some(report) = check.clone().filter(|report| !report.fits()) {
                return Err(DeploymentError::Diverging(Box::new(report)));
            }
            into.deployed().push((file.clone(), text));
            let kept = vec![diverging()];
            let migration = Migration { migrated: 2, kept, kept_count: 1 };
            let problem = options.migrates.then(|| "the disk is slow".to_owned());
            Ok(Deployed {
                check,
                migration: options.migrates.then_some(migration),
                problem,
                ..served(&file)
            })
        })
    }

    fn check(self: Box<Self>) -> DeploymentFuture<'static, CheckReport> {
        Box::pin(async move {
            loaded(&self.text)?;
            Ok(report(&self.file, &self.text))
        })
    }
}

impl Deployments for FakeDeployments {
    fn functions(&self) -> DeploymentFuture<'_, FunctionsState> {
        let broken = FileState {
            file: "broken.wasm".to_owned(),
            component: None,
            condition: FileCondition::Broken,
            message: Some("no".to_owned()),
            loaded_at: None,
            pinned: 0,
        };
        let functions = vec![function("hello.wasm")];
        Box::pin(async move { Ok(FunctionsState { functions, files: vec![broken] }) })
    }

    fn deployments(&self, file: Option<&str>) -> Vec<Deployment> {
        let deployed = self.deployed();
        let wanted = deployed.iter().filter(|(name, _)| file.is_none_or(|file| file == name));
        let record = |(id, (file, _)): (u64, &(String, String))| Deployment {
            id,
            time: Timestamp::from_millis(1_234),
            file: file.clone(),
            component: Some(HASH),
            action: DeploymentAction::Deployed,
            message: None,
        };
        (1..).zip(wanted).map(record).collect()
    }

    fn upload<'a>(&'a self, file: &'a str) -> DeploymentFuture<'a, Box<dyn Upload>> {
        Box::pin(async move {
            if !file.ends_with(".wasm") {
                return Err(DeploymentError::Name(file.to_owned()));
            }
            let upload = FakeUpload { file: file.into(), text: String::new(), into: self.clone() };
            let upload: Box<dyn Upload> = Box::new(upload);
            Ok(upload)
        })
    }

    fn rollback<'a>(
        &'a self,
        file: &'a str,
        to: Option<String>,
        _options: DeployOptions,
    ) -> DeploymentFuture<'a, Deployed> {
        Box::pin(async move {
            if to.is_some_and(|to| to != "1") {
                return Err(DeploymentError::NotFound("it had no such version".to_owned()));
            }
            match self.deployed().iter().filter(|(name, _)| name == file).count() {
                0 | 1 => Err(DeploymentError::NotFound("nothing to go back to".to_owned())),
                _ => Ok(served(file)),
            }
        })
    }

    fn remove<'a>(&'a self, file: &'a str) -> DeploymentFuture<'a, ()> {
        Box::pin(async move {
            let mut deployed = self.deployed();
            let before = deployed.len();
            deployed.retain(|(name, _)| name != file);
            match deployed.len() == before {
                true => Err(DeploymentError::NotFound("no such file".to_owned())),
                false => Ok(()),
            }
        })
    }

    fn migrate<'a>(&'a self, instance_id: &'a InstanceId) -> DeploymentFuture<'a, ()> {
        Box::pin(async move {
            match instance_id.as_str() {
                "other" => Err(DeploymentError::DoesNotFit("at event 3".to_owned())),
                _ => Ok(()),
            }
        })
    }
}
