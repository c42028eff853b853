# Everything that is done with this repository. `make help` lists it.
# Where the compiled host is: cargo's target folder, wherever that is.
TARGET := $(or $(CARGO_TARGET_DIR),target)
HOST := $(TARGET)/release/everstate
FUNCTIONS := host/functions
# Cargo compiles a package again for another selection of packages (their features are united), so all
# commands here select the same ones: the default members.
# The guest that `make deploy` compiles: a folder of guests/.
GUEST ?= database

.DEFAULT_GOAL := help
.PHONY: help setup build guests deploy run test lint unit crash sim mutants bench

help: ## Show what can be made.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what is missing: clang, the wasm target, cargo-nextest.
	@scripts/setup.sh

build: setup ## Compile the host.
	@cargo build --release --bin everstate

guests: setup ## Compile the guests to components.
	@scripts/build-guests.sh

deploy: setup ## Compile a guest (GUEST=database) into host/functions, where a running host picks it up.
	@scripts/deploy.sh $(FUNCTIONS) guest-$(GUEST)

run: build deploy ## Start the host with guests/database on 127.0.0.1:7071.
	@exec $(HOST) run --functions $(FUNCTIONS) --data host/data

test: setup lint unit ## Run every check.

lint: setup
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --release --no-deps --quiet

unit: setup
	cargo test --release --doc --quiet
	cargo nextest run --release

crash: setup ## Kill the host 100 times under load, and as a bank, and check what it promised (CRASH_CYCLES=100).
	CRASH_CYCLES=$(or $(CRASH_CYCLES),100) cargo nextest run --release --test crash --profile long

sim: setup ## Simulate the engine (SEEDS=100000, or SEED=42 for one).
	SIM_SEEDS=$(or $(SEEDS),100000) $(if $(SEED),SIM_SEED=$(SEED)) cargo test --release --test sim -- --nocapture

mutants: setup ## Break the engine in one place at a time and see the simulation fail.
	@scripts/mutants.sh

bench: build ## Measure the host against the floor.
	@for guest in database hello stopwatch counter bank; do scripts/deploy.sh $(TARGET)/bench-functions guest-$$guest || exit; done
	cargo build --release --bin load
	$(TARGET)/release/load bench --host $(HOST) --functions $(TARGET)/bench-functions $(BENCH_FLAGS)
	$(TARGET)/release/load entities --host $(HOST) --functions $(TARGET)/bench-functions $(ENTITY_FLAGS)
	$(TARGET)/release/load fairness --host $(HOST) --functions $(TARGET)/bench-functions $(FAIRNESS_FLAGS)
	$(TARGET)/release/load scale --host $(HOST) --functions $(TARGET)/bench-functions $(SCALE_FLAGS)
