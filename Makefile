# What a target needs beyond Go, a C compiler and (for some) a Python is fetched by the target itself, into .cache/, build/ and Go's module
# cache. Only bench also wants wrk, libev's headers and apache2-dev on the machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PORT ?= 8000
# Versions of the tools, exactly.
STATICCHECK_VERSION := v0.8.2

export CGO_ENABLED := 1
ifeq ($(strip $(HOME)),)
export HOME := $(CURDIR)/.cache/home
endif

TOOLS := $(CURDIR)/.cache/bin
STATICCHECK := $(TOOLS)/staticcheck-$(STATICCHECK_VERSION)
export STATICCHECK

BENCH_OPTIONS = $(if $(WORKLOAD),--workload $(WORKLOAD)) $(if $(SERVERS),--servers $(SERVERS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	$(if $(SECONDS),--seconds $(SECONDS)) $(if $(ALSO),--also $(ALSO))

.PHONY: help build bundled run test race asan matrix soak hazards fuzz difffuzz lint bench bench-short bench-dev clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: need-go need-cc ## Build bin/gowsgi, which loads the CPythons of the machine
	@mkdir -p bin
	go build -trimpath -o bin/gowsgi ./cmd/gowsgi

bundled: need-go need-cc ## Build bin/gowsgi-bundled, which has a whole CPython 3.14 in it
	@mkdir -p bin
	go build -trimpath -tags bundled -o bin/gowsgi-bundled ./cmd/gowsgi

run: bundled ## Serve the demo site (Django, and Flask beside it) on 127.0.0.1:8000, or PORT=n
	@scripts/run.sh $(PORT)

test: need-go need-cc $(STATICCHECK) ## Run everything that a change must pass
	@scripts/test.sh

race: need-go need-cc ## Run the Go tests under the race detector
	@scripts/test.sh race

asan: need-go need-cc ## Run the end-to-end tests with the C side under AddressSanitizer and UBSan
	@scripts/test.sh asan

matrix: need-go need-cc bundled ## Run the end-to-end tests on every CPython found, and on the bundled one
	@scripts/test.sh matrix

soak: need-go need-cc ## Serve under load for SOAK (10m), with reloads, recycled and killed workers at random
	@SOAK=$${SOAK:-10m} scripts/test.sh soak

fuzz: need-go ## Fuzz each target for FUZZTIME (1m)
	@FUZZTIME=$${FUZZTIME:-1m} scripts/test.sh fuzz

difffuzz: need-go need-cc ## Send the same odd requests to gowsgi, waitress and gunicorn for FUZZTIME (10m), from SEED on
	@FUZZTIME=$${FUZZTIME:-10m} SEED=$${SEED:-$$(date +%s)} scripts/test.sh difffuzz

lint: need-go need-cc $(STATICCHECK) ## Run gofmt, vet, staticcheck and the C warnings
	@scripts/test.sh lint

hazards: build ## Try real packages and awkward behaviours on gowsgi and on gunicorn, and compare
	@scripts/hazards/run.sh $(ROWS)

# The options of make bench, each as NAME=value: WORKLOAD=a,b SERVERS=x,y ROUNDS=n SECONDS=n ALSO=name=path, and GOWSGI=path (the binary to
# measure) and CPYTHON=path or version.
bench: $(if $(GOWSGI),,build) ## Measure beside other servers, about an hour; WORKLOAD=a,b SERVERS=x,y for some of it
	@GOWSGI=$(GOWSGI) CPYTHON=$(CPYTHON) scripts/bench/bench.sh $(BENCH_OPTIONS)

bench-short: $(if $(GOWSGI),,build) ## Measure a few servers on a few workloads, about 5 minutes
	@GOWSGI=$(GOWSGI) CPYTHON=$(CPYTHON) scripts/bench/bench.sh --short $(BENCH_OPTIONS)

bench-dev: $(if $(GOWSGI),,build) ## Measure gowsgi dev beside flask run and runserver, less than 4 minutes; SHORT=1: less than one
	@GOWSGI=$(GOWSGI) CPYTHON=$(CPYTHON) scripts/bench-dev/bench-dev.sh $(if $(SHORT),--short)

clean: ## Remove all that make made
	rm -rf bin build .cache

need-%:
	@scripts/need.sh $*

$(STATICCHECK): | need-go
	@echo "staticcheck $(STATICCHECK_VERSION): building it into .cache/bin (once, less than a minute)"
	@mkdir -p $(TOOLS)
	@GOBIN=$(TOOLS) GOFLAGS= go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	@mv $(TOOLS)/staticcheck $@
