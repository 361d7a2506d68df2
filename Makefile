# The few things one does with this project. `make` alone lists them.
# KAFKA_IMAGE=apache/kafka:4.3.1 make test: the same on another Kafka.
KAFKA_IMAGE ?= apache/kafka:3.9.2
export KAFKA_IMAGE

# How long `make fuzz` looks at each reader.
FUZZ_SECONDS ?= 600

LOSSPROOF = target/release/lossproof

.PHONY: help setup tools build demo check test test-on-engine test-without-engine mutants bench fuzz nightly smoke figures soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## get the Docker engine, the compose plugin and the images ready
	@compose/setup.sh

# First of all, and before anything that runs beside it: it may install a compiler.
tools:
	@compose/setup.sh tools

build: tools ## build lossproof (release)
	cargo build --release

# Set-up waits for downloads while the Rust build computes: side by side.
demo: tools ## cut a partition leader off from its peers, and count what is lost
	@$(MAKE) --no-print-directory -j 2 setup build
	$(LOSSPROOF) run experiments/broker/leader-partition.yaml

check: tools ## formatting and lints, without Docker
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# Tests that use the Docker engine wait for each other; what needs none runs beside them, and makes way for them.
test: tools ## all checks and tests, also those on real brokers
	@$(MAKE) --no-print-directory -j 2 setup check
	cargo test --workspace --no-run
	@$(MAKE) --no-print-directory -j 2 test-on-engine test-without-engine
	cargo test --test it -- $(IN_TIME)

ON_ENGINE = brokers:: network::
# What has to end in a second or two is by itself.
IN_TIME = exec::

# One thread would write half lines among those of the others.
test-on-engine:
	cargo test --test it -- --test-threads 2 $(ON_ENGINE)

test-without-engine:
	nice cargo test --workspace --exclude lossproof
	nice cargo test --lib --bins
	nice cargo test --doc
	nice cargo test --test it -- $(addprefix --skip ,$(ON_ENGINE) $(IN_TIME))

mutants: tools ## change the reconciliation in some 800 ways: a test must fail each time (an hour)
	@cargo mutants --version > /dev/null 2>&1 || cargo install cargo-mutants --locked
	PROPTEST_CASES=64 PROPTEST_MAX_SHRINK_ITERS=0 cargo mutants --package lossproof-ledger

bench: tools ## what accounting costs per message, reconciliation at scale, and how long a cluster takes to come and go
	cargo bench -p lossproof-ledger --bench journal --bench reconcile
	@$(MAKE) --no-print-directory setup
	cargo bench --bench clients --bench boot

# cargo-fuzz wants a nightly compiler for sanitizers alone; what is pure Rust does without.
fuzz: tools ## throw damaged and hostile files at the readers, FUZZ_SECONDS each
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
	@for target in $$(cargo fuzz list); do \
		echo "$$target: $(FUZZ_SECONDS) s"; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target -- \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

# The upgrade starts on another image than the rest may run on.
UPGRADE_FROM = apache/kafka:3.9.2

nightly: tools ## the whole catalogue of experiments, with the matrix at its end
	@$(MAKE) --no-print-directory -j 2 setup build
	@for image in $(UPGRADE_FROM) apache/kafka:4.3.1; do KAFKA_IMAGE=$$image compose/setup.sh || exit; done
	@$(LOSSPROOF) run experiments/ || code=$$?; \
	[ $(KAFKA_IMAGE) = $(UPGRADE_FROM) ] || \
		$(LOSSPROOF) run --kafka-image $(UPGRADE_FROM) rolling-upgrade || code=$$?; \
	exit $${code:-0}

# Ten that tell most in the least time.
SMOKE = leader-partition acks-one retries-exhausted message-too-large idempotence-off-duplicates unclean-election \
	disk-full process-killed-with-queue auto-commit-before-processing worker-queue

smoke: tools ## ten of the catalogue that tell most, in ten minutes
	@$(MAKE) --no-print-directory -j 2 setup build
	$(LOSSPROOF) run $(SMOKE)

# A page that can't be made leaves the old one as it is.
figures: build ## write docs/catalogue.md: what the runs stored in runs/ showed of each experiment
	@page=$$($(LOSSPROOF) list --figures runs) && mkdir -p docs && printf '%s\n' "$$page" > docs/catalogue.md

# SOAK_SEED=7 SOAK_ROUNDS=1 repeats one round.
soak: tools ## end lossproof itself by a signal under random faults, fifty times: nothing may stay (half an hour)
	@$(MAKE) --no-print-directory setup
	cargo test --test it -- --ignored --exact brokers::soak::soak --nocapture

clean: ## remove what lossproof left in Docker, and the Rust build
	@if [ -x $(LOSSPROOF) ]; then $(LOSSPROOF) clean; fi
	cargo clean
