#!/usr/bin/env bash
# Kills the launcher of the local control plane (kill -9) at KILLS points (default 10) that are spread evenly over a start
# with real nodes, from the import of the images to the boot of the guest, and what makes the images from Debian's packages
# at IMAGE_KILLS points (default 3). Each next start must work, and at the end the machine must be as it was before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kills=${KILLS:-10}
image_kills=${IMAGE_KILLS:-3}
state=$(pwd)/_output/kill-state
logs=_output/kill-logs
rm -rf "${logs}"
mkdir -p "${logs}"

# launch starts the launcher in the background.
launch() {
  _output/bin/controlplane run --nodes real --state-dir "${state}" --kubeconfig "${state}/kubeconfig" > "$1" 2>&1 &
  launcher=$!
}

# running waits until the log says that the guest boots.
running() {
  local deadline=$((SECONDS + 420))
  until grep -q 'Its console' "$1"; do
    if ! kill -0 "${launcher}" 2> /dev/null || ((SECONDS > deadline)); then
      echo "The start failed; the end of $1:" >&2
      tail -20 "$1" >&2
      return 1
    fi
    sleep 0.2
  done
}

# make_images makes every image and guest in a folder of its own, in the background.
making=_output/kill-node
make_images() {
  _output/bin/node-images --output "${making}" roots guests images > "$1" 2>&1 &
  maker=$!
}

# kill_image_making kills the making of the images at evenly spread points; the next one must finish.
kill_image_making() {
  rm -rf "${making}"
  local began after i
  began=$(date +%s%N)
  make_images "${logs}/images-0.log"
  wait "${maker}"
  local whole=$((($(date +%s%N) - began) / 1000000))
  echo "Making the images takes $((whole / 1000)) s. Killing at ${image_kills} points of it."
  for ((i = 1; i <= image_kills; i++)); do
    rm -rf "${making}"
    after=$((whole * (2 * i - 1) / (2 * image_kills)))
    make_images "${logs}/images-${i}.log"
    sleep "$((after / 1000)).$(printf '%03d' $((after % 1000)))"
    kill -9 "${maker}" 2> /dev/null || true
    wait "${maker}" 2> /dev/null || true
    printf 'killed after %3d.%d s: %s\n' "$((after / 1000))" "$((after % 1000 / 100))" "$(tail -n 1 "${logs}/images-${i}.log" | cut -c1-90)"
    make_images "${logs}/images-${i}-next.log"
    if ! wait "${maker}"; then
      tail -20 "${logs}/images-${i}-next.log" >&2
      return 1
    fi
    echo "  the next making worked"
  done
  rm -rf "${making}"
}

hack/machine-state.sh > "${logs}/before"
((image_kills == 0)) || kill_image_making
# The first start also measures how long a whole one takes, images included.
rm -rf _output/node/store
began=$(date +%s%N)
launch "${logs}/0.log"
running "${logs}/0.log"
whole=$((($(date +%s%N) - began) / 1000000))
kill -9 "${launcher}"
wait "${launcher}" 2> /dev/null || true
echo "A whole start takes $((whole / 1000)) s. Killing at ${kills} points of it."

for ((i = 1; i <= kills; i++)); do
  # Every other time the images have to be imported too.
  if ((i % 2)); then rm -rf _output/node/store; fi
  after=$((whole * (2 * i - 1) / (2 * kills)))
  launch "${logs}/${i}.log"
  sleep "$((after / 1000)).$(printf '%03d' $((after % 1000)))"
  kill -9 "${launcher}"
  wait "${launcher}" 2> /dev/null || true
  printf 'killed after %3d.%d s: %s\n' "$((after / 1000))" "$((after % 1000 / 100))" "$(tail -n 1 "${logs}/${i}.log" | cut -c1-90)"
  launch "${logs}/${i}-next.log"
  running "${logs}/${i}-next.log"
  echo "  the next start worked"
  if ((i % 2)); then
    kill -9 "${launcher}"
  else
    kill "${launcher}"
  fi
  wait "${launcher}" 2> /dev/null || true
done

# The last kill leaves what only the next start, or down, removes.
_output/bin/controlplane down --state-dir "${state}" > /dev/null 2>&1 || true
hack/machine-state.sh > "${logs}/after"
if ! diff "${logs}/before" "${logs}/after"; then
  echo "The machine is not as it was before (< before, > after)." >&2
  exit 1
fi
echo "After ${kills} kills every next start worked, and the machine is as it was before."
