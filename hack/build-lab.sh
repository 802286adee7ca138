#!/usr/bin/env bash
# Builds everything that a local control plane needs: the product, the servers, and, where the machine can have real
# nodes, their images and guests. What waits for the network runs beside what keeps the processors busy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export GOWORK=off
bin=_output/bin
mkdir -p "${bin}"
mode=$(hack/node-mode.sh)
# The choice is made: nobody asks again.
export NODE=${mode}

packages=
if [[ "${mode}" == real ]]; then
  (cd test/realnode/images && CGO_ENABLED=0 go build -o ../../../${bin}/node-images ./cmd/node-images)
  # Debian's packages for images and guests. The lines are shown when it is their turn.
  mkdir -p _output/node
  "${bin}/node-images" roots guests > _output/node/packages.log 2>&1 &
  packages=$!
  trap 'kill "${packages}" 2> /dev/null || true' EXIT
fi

hack/build-controlplane.sh
echo "Building the product, the node agent and the launcher into ${bin}"
CGO_ENABLED=0 go build -o "${bin}/" ./cmd/... ./test/nodeagent/cmd/nodeagent ./test/controlplane/cmd/controlplane
install -m 755 cmd/kubectl-vs/kubectl_complete-vs "${bin}/"

[[ "${mode}" == real ]] || exit 0
CGO_ENABLED=0 go build -o "${bin}/" ./test/realnode/cmd/realnode ./test/realnode/pause
if kill -0 "${packages}" 2> /dev/null; then
  echo "Waiting for Debian's packages of the images and guests"
  tail --pid="${packages}" -n +1 -f _output/node/packages.log
fi
if ! wait "${packages}"; then
  cat _output/node/packages.log >&2
  exit 1
fi
trap - EXIT
"${bin}/node-images" images
