# The two commands that matter: "make run" and "make test". "make help" lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := _output/bin
GO := go
export CGO_ENABLED := 0
# Which kind of node a local control plane gets: real, simulated, or auto for what the
# machine can do (hack/node-mode.sh).
NODE ?= auto
export NODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## Say what each target does.
	@echo "VirtualServer: one Kubernetes object, one virtual machine."
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build the product: the API server with its controller, and the kubectl plugin.
	@echo "Building the product into $(BIN)"
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/ ./cmd/...
	@install -m 755 cmd/kubectl-vs/kubectl_complete-vs $(BIN)/

.PHONY: images
images: ## Make the product's container images, for amd64 and arm64, without a container daemon.
	@hack/images.sh build --output _output/images

.PHONY: push
push: images ## Send the images to a registry: make push REGISTRY=registry.example.com/team.
	@test -n "$(REGISTRY)" || { echo "Say where: make push REGISTRY=registry.example.com/team"; exit 2; }
	@hack/images.sh push --output _output/images --to "$(REGISTRY)/virtualserver-apiserver"

.PHONY: release
release: ## Make all files of a release from a tagged commit: make release ADDRESS=https://… HOMEPAGE=https://….
	@hack/release.sh "$(ADDRESS)" "$(HOMEPAGE)"

.PHONY: controlplane
controlplane: ## Build the real Kubernetes, KubeVirt and CDI servers, and the programs of a real node (NODE=real|simulated|auto).
	@hack/build-controlplane.sh

.PHONY: lab
lab: ## Build everything that a local control plane needs.
	@hack/build-lab.sh

.PHONY: run
run: lab ## Start a local control plane with the product and a VirtualServer that reaches Running; stay until Ctrl-C.
	@$(BIN)/controlplane run --nodes="$$(cat _output/node-mode)"

.PHONY: up
up: lab ## Start the local control plane in the background.
	@$(BIN)/controlplane up --nodes="$$(cat _output/node-mode)"

.PHONY: down
down: ## Stop the local control plane.
	@$(BIN)/controlplane down

.PHONY: test
test: lab test-unit test-integration test-guide ## Run every test: unit, integration against a real control plane, and the guide inside guests on real nodes.
	@echo "All tests passed. Next: 'make run' for a machine of your own, 'make verify' before a commit."

.PHONY: test-unit
test-unit: ## Run the tests that need no control plane.
	@echo "Running unit tests"
	@$(GO) test $$($(GO) list ./cmd/... ./pkg/... ./hack/... ./test/... | grep -v -E '/test/(guide|integration|conformance|disruption|model/live|benchmark/|docs)')
	@(cd test/health && GOWORK=off $(GO) test ./...)
	@(cd test/realnode/images && GOWORK=off $(GO) test ./...)
	@(cd hack/images && GOWORK=off $(GO) test ./...)
	@(cd hack/update-images && GOWORK=off $(GO) test ./...)

.PHONY: test-monitoring
test-monitoring: ## Try the alerts with Prometheus' own modules, and hold rules and dashboard against the metrics that exist.
	@(cd test/monitoring && GOWORK=off $(GO) test ./...)

.PHONY: test-integration
test-integration: lab ## Run the tests against a real control plane, which they start themselves.
	@hack/test-integration.sh

.PHONY: test-guide
test-guide: lab ## Try the user's guide inside guests that boot on real nodes.
	@hack/test-guide.sh

.PHONY: test-guest
test-guest: lab ## Try what needs a whole Debian in a guest, on real nodes. Slow: minutes for each boot under emulation.
	@GUEST=debian hack/test-guide.sh -v -run Debian

.PHONY: test-node-loss
test-node-loss: lab ## Cut the power of a real node under a machine, and give it back; kill the product between the steps of a copy.
	@ALONE=1 hack/test-guide.sh -v -run 'Power|WhateverDies'

.PHONY: test-failures
test-failures: lab ## Break imports, launchers and real nodes on purpose, and log how long it takes until a user reads of it.
	@FAILURES=1 hack/test-guide.sh -v -run Fail\|TakeTheirTime

.PHONY: test-fields
test-fields: lab ## Boot guests by EFI, with disks on other buses, and on chosen nodes.
	@FIELDS=1 hack/test-guide.sh -v -run 'TestFirmware|TestRootDiskInAClaim'

.PHONY: test-parity
test-parity: lab ## Play the same scenes on simulated and on real nodes, and hold both against what real nodes did.
	@PARITY=1 hack/test-integration.sh
	@PARITY=1 hack/test-guide.sh -v -run TestSimulatedNodes

.PHONY: test-node-kill
test-node-kill: lab ## Kill the launcher at ten points of a start with real nodes; each next start must work, and nothing may remain.
	@hack/test-node-kill.sh

.PHONY: skew
skew: lab ## Try the product on older Kubernetes servers, which it builds first. Slow: minutes for each version.
	@hack/build-skew.sh
	@hack/test-skew.sh

.PHONY: bench
bench: lab ## Measure the product against its peers: a CustomResourceDefinition and raw etcd.
	@hack/bench.sh

.PHONY: storm
storm: lab ## Kill the product KILLS times (default 200) while twenty machines are restarted, on a control plane of its own.
	@CRASH_KILLS=$${KILLS:-200} $(GO) test -count=1 -timeout 90m -v -run 'TestCrash/restart_storm' ./test/disruption/crash

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default 30s).
	@hack/fuzz.sh

.PHONY: generate
generate: ## Regenerate generated code and reference documents.
	@hack/update-codegen.sh
	@hack/update-docs.sh

.PHONY: verify
verify: ## Check generated code, formatting, imports, layout and lint.
	@hack/verify-all.sh

.PHONY: clean
clean: ## Remove everything built.
	@rm -rf _output
