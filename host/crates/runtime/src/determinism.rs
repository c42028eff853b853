//! What orchestrators see of WASI: the orchestration's clock, seeded randomness and nothing else.
//!
//! All kinds of functions are linked against the same WASI. Which clock answers is decided by what
//! the guest is doing. Nobody has an environment, arguments, files or a network.

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
            Role::Idle | Role::Entity(_) | Role::Http(_) => None,
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
