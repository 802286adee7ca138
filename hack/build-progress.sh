#!/usr/bin/env bash
# Says how far a long build is. Sourced by build-controlplane.sh.
#
# Work is counted in hundredths of a second of one processor: the packages that
# have still to be compiled and the programs to be linked, times what one of them
# costs on average, as measured on two cores. How much wall time that takes is learnt while building.

# cost_of prints what one package of a component costs.
cost_of() {
  case "$1" in
    kubevirt) echo 26 ;;
    cdi) echo 24 ;;
    *) echo 14 ;;
  esac
}

# links_of prints what linking a component's programs costs.
links_of() {
  case "$1" in
    kubernetes) echo 1400 ;;
    *) echo $((300 * $(programs_of "$1" | wc -w))) ;;
  esac
}

# fresh_of prints how many packages of a component an empty cache lacks when the
# components before it have been built.
fresh_of() {
  case "$1" in
    kubernetes) echo 2880 ;;
    coredns) echo 105 ;;
    containerd) echo 490 ;;
    kubevirt) echo 1130 ;;
    cdi) echo 1010 ;;
  esac
}

progress_dir="" # holds a file count.COMPONENT for each that has been counted
progress_work=0 # done by the components before this one
progress_wall=0 # seconds that took
# Seconds between two lines: those of a log add up.
if [[ -t 1 ]]; then progress_every=10; else progress_every=30; fi

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

# minutes prints seconds for people.
minutes() {
  if (($1 < 90)); then printf '%d s' "$1"; else printf '%d min' "$((($1 + 30) / 60))"; fi
}

# packages_of prints how many packages of a component that comes later will have
# to be compiled, as far as known: it was counted before those that come earlier
# compile what both need.
packages_of() {
  local fresh count
  fresh="$(fresh_of "$1")"
  count="$(cat "${progress_dir}/count.$1" 2>/dev/null)" || count="${fresh}"
  echo "$((count < fresh ? count : fresh))"
}

# work_of prints all the work of such a component.
work_of() { echo $(($(packages_of "$1") * $(cost_of "$1") + $(links_of "$1"))); }

# wall_of prints how many seconds an amount of work will take, from what it took
# until now: WORK DONE SECONDS.
wall_of() {
  local work="$1" finished="$2" seconds="$3" cores
  if ((finished < 3000)); then
    cores="$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)"
    finished=$((100 * (cores > 8 ? 8 : cores) * 3 / 4))
    seconds=1
  fi
  echo $((work * seconds / finished))
}

# follow COMPONENT PLACE LOG PID REST... says how far a build is until PID ends. LOG
# is what `go build -v` writes, a line for each package; REST are the components
# that come after.
follow() {
  local component="$1" place="$2" log="$3" pid="$4"
  shift 4
  local started=${SECONDS} next=$((SECONDS + progress_every)) total compiled cost links open finished spent left rest other
  links="$(links_of "${component}")"
  total="$(cat "${progress_dir}/count.${component}" 2>/dev/null)" || total="$(fresh_of "${component}")"
  cost="$(cost_of "${component}")"
  while kill -0 "${pid}" 2>/dev/null; do
    sleep 0.5
    ((SECONDS >= next)) || continue
    next=$((SECONDS + progress_every))
    compiled="$(grep -cE '^[A-Za-z0-9./_~-]+$' "${log}" || true)"
    ((compiled <= total)) || total="${compiled}"
    finished=$((progress_work + compiled * cost))
    open=$(((total - compiled) * cost + links))
    spent=$((progress_wall + SECONDS - started))
    if ((compiled < total)); then
      left="about $(minutes "$(wall_of "${open}" "${finished}" "${spent}")") left"
    else
      left="linking"
    fi
    rest=0
    for other in "$@"; do rest=$((rest + $(work_of "${other}"))); done
    if ((rest > 0)); then
      left+="; about $(minutes "$(wall_of $((rest + open)) "${finished}" "${spent}")") for everything"
    fi
    say "  ${component} (${place}): ${compiled} of ${total} packages after $(minutes $((SECONDS - started))), ${left}"
  done
  progress_work=$((progress_work + total * cost + links))
  progress_wall=$((progress_wall + SECONDS - started))
}

# await_count COMPONENT PLACE PID waits until the component's packages have been
# counted, for which its modules are fetched, or PID, which counts, has ended.
await_count() {
  local component="$1" place="$2" pid="$3" next=$((SECONDS + progress_every))
  while [[ ! -f "${progress_dir}/count.${component}" ]] && kill -0 "${pid}" 2>/dev/null; do
    sleep 0.2
    ((SECONDS >= next)) || continue
    next=$((SECONDS + progress_every))
    say "  ${component} (${place}): fetching modules, $(grep -c downloading "${progress_dir}/count.log" || true) so far"
  done
}
