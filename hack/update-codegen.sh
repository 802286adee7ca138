#!/usr/bin/env bash
# Regenerates everything under pkg/generated and every zz_generated file, with the tools pinned in go.mod.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=tensorstack.dev/virtualserver
internal=${module}/pkg/apis/tensorstack
external=${module}/pkg/apis/tensorstack/v1beta1
generated=pkg/generated
header=hack/boilerplate.go.txt
scratch=$(mktemp -d)
trap 'rm -rf "${scratch}"' EXIT

step() { printf '  %-24s' "$1"; shift; local start=${SECONDS}; "$@" && printf '%ss\n' "$((SECONDS - start))"; }

deepcopy() {
  go tool deepcopy-gen --go-header-file "${header}" --output-file zz_generated.deepcopy.go "${internal}" "${external}"
}
defaults() {
  go tool defaulter-gen --go-header-file "${header}" --output-file zz_generated.defaults.go "${external}"
}
conversions() {
  go tool conversion-gen --go-header-file "${header}" --output-file zz_generated.conversion.go "${external}"
}
openapi() {
  # Packages of other modules: described here, but nothing may be written into them.
  local foreign=(
    kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1
    k8s.io/api/core/v1
    k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version
    k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/util/intstr
  )
  go tool openapi-gen --go-header-file "${header}" --output-dir "${generated}/openapi" \
    --output-pkg "${module}/${generated}/openapi" --output-file zz_generated.openapi.go \
    --output-model-name-file zz_generated.model_name.go \
    --report-filename hack/api-violations.txt \
    "${foreign[@]/#/--readonly-pkg=}" \
    "${external}" "${foreign[@]}"
}
models() {
  go run ./hack/models-schema > "${scratch}/schema.json"
}
applyconfigurations() {
  go tool applyconfiguration-gen --go-header-file "${header}" --output-dir "${generated}/applyconfiguration" \
    --output-pkg "${module}/${generated}/applyconfiguration" --openapi-schema "${scratch}/schema.json" "${external}"
}
clientset() {
  go tool client-gen --go-header-file "${header}" --output-dir "${generated}/clientset" \
    --output-pkg "${module}/${generated}/clientset" --clientset-name versioned --input-base "${module}/pkg/apis" \
    --input tensorstack/v1beta1 --apply-configuration-package "${module}/${generated}/applyconfiguration"
}
listers() {
  go tool lister-gen --go-header-file "${header}" --output-dir "${generated}/listers" \
    --output-pkg "${module}/${generated}/listers" "${external}"
}
informers() {
  go tool informer-gen --go-header-file "${header}" --output-dir "${generated}/informers" \
    --output-pkg "${module}/${generated}/informers" --single-directory \
    --versioned-clientset-package "${module}/${generated}/clientset/versioned" \
    --listers-package "${module}/${generated}/listers" "${external}"
}

echo "Generating code:"
find pkg/apis -name 'zz_generated.*.go' -delete
rm -rf "${generated}"
step deepcopy deepcopy
step defaults defaults
step conversions conversions
step openapi openapi
step "models schema" models
step "apply configurations" applyconfigurations
step clientset clientset
step listers listers
step informers informers
