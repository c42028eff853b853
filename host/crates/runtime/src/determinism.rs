//! What orchestrators see of WASI: the orchestration's clock, seeded randomness and nothing else.
//!
//! All kinds of functions are linked against the same WASI. Which clock answers is decided by what
//! the guest is doing. Nobody has arguments, files or sockets; only activities have an environment.

use everstate_types::{ExecutionId, InstanceId};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use sha2::{Digest, Sha256};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use crate::error::Refusal;
use crate::output::GuestOutput;
use crate::state::{GuestState, Role, lock};

/// Most random bytes that a guest may ask for at once.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Adds WASI to a linker, with our clocks.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    wall_clock::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)?;
    monotonic_clock::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Where the randomness of an execution comes from.
#[derive(Debug, Default)]
pub(crate) struct Seed([u8; 32]);

impl Seed {
    /// The seed of an execution: nobody else has it, and every replay has the same.
    pub(crate) fn of(instance_id: &InstanceId, execution_id: ExecutionId) -> Self {
        let mut hash = Sha256::new();
        hash.update(execution_id.guid().as_bytes());
        hash.update(instance_id.as_str().as_bytes());
        Self(hash.finalize().into())
    }

    /// A generator for one purpose, known by a number.
    pub(crate) fn generator(&self, purpose: u64) -> ChaCha12Rng {
        let mut generator = ChaCha12Rng::from_seed(self.0);
        generator.set_stream(purpose);
        generator
    }
}

/// The WASI of orchestrators and of `describe`.
pub(crate) fn deterministic_wasi(seed: &Seed, output: &GuestOutput) -> WasiCtx {
    let mut builder = builder(output);
    builder
        .secure_random(seed.generator(1))
        .insecure_random(seed.generator(2))
        .insecure_random_seed(u128::from_le_bytes(seed.0[..16].try_into().expect("16 bytes")));
    builder.build()
}

/// The WASI of activities: as others have, and the environment of the configuration.
pub(crate) fn activity_wasi(output: &GuestOutput, environment: &[(String, String)]) -> WasiCtx {
    let mut builder = builder(output);
    builder.envs(environment);
    builder.build()
}

/// The WASI of all other functions: real clocks and real randomness.
pub(crate) fn ordinary_wasi(output: &GuestOutput) -> WasiCtx {
    builder(output).build()
}

fn builder(output: &GuestOutput) -> WasiCtxBuilder {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(output.stdout())
        .stderr(output.stderr())
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder
}

impl GuestState {
    /// The orchestration's clock in milliseconds; `None` for those who see the real time.
    fn frozen_millis(&self) -> Option<u64> {
        match &self.role {
            Role::Orchestrator(script) => Some(lock(script).current_time().as_millis()),
            Role::Describe => Some(0),
            Role::Idle
            | Role::IdleActivity
            | Role::Entity(_)
            | Role::Http(_)
            | Role::Activity(_) => None,
        }
    }
}

impl wall_clock::Host for GuestState {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        match self.frozen_millis() {
            None => self.clocks().now(),
            Some(millis) => Ok(wall_clock::Datetime {
                seconds: millis / 1_000,
                nanoseconds: u32::try_from(millis % 1_000 * NANOS_PER_MILLI).expect("below 10^9"),
            }),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for GuestState {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        match self.frozen_millis() {
            None => monotonic_clock::Host::now(&mut self.clocks()),
            Some(millis) => Ok(millis.saturating_mul(NANOS_PER_MILLI)),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(NANOS_PER_MILLI)
    }

    fn subscribe_instant(
        &mut self,
        when: monotonic_clock::Instant,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.refuse_sleep()?;
        self.clocks().subscribe_instant(when)
    }

    fn subscribe_duration(
        &mut self,
        duration: monotonic_clock::Duration,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.refuse_sleep()?;
        self.clocks().subscribe_duration(duration)
    }
}

impl GuestState {
    fn refuse_sleep(&self) -> wasmtime::Result<()> {
        if self.is_deterministic() {
            let text = "an orchestrator must not sleep on a clock; use `create-timer`";
            return Err(Refusal(text.to_owned()).into());
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use everstate_engine::client::InstanceStatus;
    use everstate_engine::guest::{HttpResponse, StatusResponses};
    use everstate_types::{ExecutionId, InstanceId, Payload};
    use uuid::Uuid;
    use wasmtime_wasi::WasiView;
    use wasmtime_wasi::cli::WasiCliView;
    use wasmtime_wasi::p2::bindings::cli::environment;
    use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
    use wasmtime_wasi::p2::bindings::random::random;

    use crate::bindings::imports::{client, entity_context, orchestration, types};
    use crate::orchestration::Script;
    use crate::orchestration::tests::work_item;
    use crate::state::{GuestState, Role};
    use crate::{Runtime, RuntimeConfig};

    #[derive(Debug)]
    struct NoResponses;

    impl StatusResponses for NoResponses {
        fn check_status(&self, _base_url: &str, _id: &InstanceId, _error: bool) -> HttpResponse {
            unreachable!("no test asks for it")
        }

        fn history(&self, _status: &InstanceStatus, _shows_output: bool) -> Payload {
            unreachable!("no test asks for it")
        }

        fn finished(&self, _status: &InstanceStatus, _error: bool) -> HttpResponse {
            unreachable!("no test asks for it")
        }
    }

    /// A guest without code that is doing something.
    pub(crate) fn guest(role: Role) -> GuestState {
        let config = RuntimeConfig {
            turns_concurrent_max: 1,
            http_concurrent_max: 1,
            activities_concurrent_max: 1,
            suspended_guests_max: 1,
            idle_guests_max: 1,
            ..RuntimeConfig::default()
        };
        let data = tempfile::tempdir().expect("a temporary folder");
        let runtime =
            Runtime::new(config, data.path(), Arc::new(NoResponses)).expect("the runtime starts");
        GuestState::new(Arc::clone(runtime.host()), role)
    }

    /// An orchestrator in the first turn of an execution, at second 1.
    fn orchestrator(execution_id: Uuid) -> GuestState {
        let mut item = work_item();
        item.execution_id = ExecutionId::new(execution_id);
        guest(Role::Orchestrator(Arc::new(Mutex::new(Script::new(item)))))
    }

    #[test]
    fn orchestrator_sees_the_time_of_its_turn() {
        let mut guest = orchestrator(Uuid::nil());
        let now = wall_clock::Host::now(&mut guest).expect("an answer");
        assert_eq!((now.seconds, now.nanoseconds), (1, 0));
        let now = monotonic_clock::Host::now(&mut guest).expect("an answer");
        assert_eq!(u128::from(now), Duration::from_secs(1).as_nanos());
    }

    #[test]
    fn orchestrator_that_sleeps_is_told_to_use_a_timer() {
        let mut guest = orchestrator(Uuid::nil());
        let slept = monotonic_clock::Host::subscribe_duration(&mut guest, 1);
        assert!(slept.expect_err("refused").to_string().contains("create-timer"));
    }

    #[test]
    fn randomness_is_the_same_for_an_execution_and_differs_from_others() {
        let take = |execution_id: Uuid| {
            let mut guest = orchestrator(execution_id);
            let bytes = random::Host::get_random_bytes(guest.ctx().ctx.random(), 32);
            let own = orchestration::Host::random(&mut guest).expect("an answer");
            let guids = [(); 2].map(|()| orchestration::Host::new_guid(&mut guest).expect("one"));
            assert_ne!(guids[0], guids[1]);
            (bytes.expect("an answer"), own, guids)
        };
        assert_eq!(take(Uuid::nil()), take(Uuid::nil()));
        let (ours, others) = (take(Uuid::nil()), take(Uuid::max()));
        assert!(ours.0 != others.0 && ours.1 != others.1 && ours.2 != others.2);
    }

    #[test]
    fn nobody_has_an_environment_or_arguments() {
        for mut guest in [orchestrator(Uuid::nil()), guest(Role::Idle)] {
            let mut cli = guest.cli();
            assert_eq!(environment::Host::get_environment(&mut cli).expect("an answer"), []);
            assert!(environment::Host::get_arguments(&mut cli).expect("an answer").is_empty());
        }
    }

    #[tokio::test]
    async fn orchestrator_that_reaches_for_other_interfaces_is_refused() {
        let mut guest = orchestrator(Uuid::nil());
        let trap = entity_context::Host::get_state(&mut guest).expect_err("it traps");
        assert!(trap.to_string().contains("entity-context"), "{trap}");
        let refused =
            client::Host::purge(&mut guest, "a".to_owned(), false).await.expect("no trap");
        let Err(types::HostError::NotSupported(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("activity"), "{text}");
    }
}
