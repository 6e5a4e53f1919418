# Sourced by ./dev: the stages of the tests, what they count, and the line that ends it.

passed=0 failed=0 skipped=0 unstable=0

# The last line is what continuous integration reads.
finish() {
  if ((passed + failed == 0)); then
    say "No test was run."
    failed=1
  fi
  ((${#stage_labels[@]} < 2)) || show_stage_times
  ((unstable == 0)) || say "Unstable: $unstable of those that failed passed when they ran again, alone."
  local line="$passed passed, $failed failed"
  ((skipped)) && line+=", $skipped skipped"
  say "$line"
  exit $((failed > 0))
}

# tally STATUS JUNIT-FILE LOG: adds a runner's results, and shows what failed. A runner that fails
# without naming a test (a crash, no tests at all) counts as one failure.
tally() {
  local p=0 f=0 s=0
  if [[ -f $2 ]]; then
    "$python" test/tally.py "$2" 2>&1 >"$logs/counts" # what failed is shown, the counts are kept
    read -r p f s <"$logs/counts"
  fi
  if (($1 != 0 && f == 0)) || ((p + f + s == 0)); then
    f=$((f + 1))
    say "--- $3:"
    tail -n 40 "$3"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

meson_tests() {
  local name=$1 filter=$2 status=0 names=()
  local dir=$build/$name junit=$build/$name/meson-logs/testlog.junit.xml
  if [[ -n $filter ]]; then
    mapfile -t names < <(meson test -C "$dir" --no-rebuild --list 2>/dev/null |
      sed -n 's#.* / ##; /^ninja:/d; /./p' | grep -iF -- "$filter")
    ((${#names[@]})) || return 0
  fi
  rm -f "$junit" "$dir"/*.xml # a crashed program must not be counted by its last results
  stage "meson tests: $name" "test-$name" env "${sanitizer_options[@]}" \
    meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 3 \
    --num-processes "$cores" "${names[@]}"
  status=$?
  tally $status "$junit" "$logs/test-$name.log"
}

# install_npm FOLDER: what test/FOLDER is run with, official MCP servers and clients or what drives a
# browser; kept outside the source tree.
install_npm() {
  local from=test/$1 dir=$build/$1
  mkdir -p "$dir"
  cmp -s "$from/package-lock.json" "$dir/installed-lock.json" && return
  cp "$from/package.json" "$from/package-lock.json" "$dir/" &&
    npm ci --prefix "$dir" --no-audit --no-fund --ignore-scripts &&
    cp "$from/package-lock.json" "$dir/installed-lock.json"
}
install_all_npm() { install_npm mcp && install_npm page; }

# What several threads may use at once is the client library: its tests alone are built for this.
tsan_tests() {
  local status=0 dir=$build/tsan junit=$build/tsan/meson-logs/testlog.junit.xml
  if ! build_stage 'build: clang, TSan, the client library' tsan \
    test/unit/client_test test/unit/client_calls_test; then
    failed=$((failed + 1))
    return
  fi
  rm -f "$junit" "$dir"/*.xml
  stage 'meson tests: tsan' test-tsan meson test -C "$dir" --no-rebuild --print-errorlogs \
    --timeout-multiplier 3 --num-processes "$cores" client client_calls
  status=$?
  tally $status "$junit" "$logs/test-tsan.log"
}

# Redis and Valkey of other Debian releases, which config/redis has to fit too: unpacked, not
# installed. Where that cannot be done (it takes root or user namespaces), the tests say so.
unpack_redis() {
  local dir=$build/trees/$1
  [[ -d $dir ]] && return
  # Through a file: tar leaves a pipe before its writer has ended. And as files of this user.
  rm -rf "$dir.part" && mkdir -p "$dir.part" &&
    timeout 300 mmdebstrap --variant=extract --include="$2" "$1" "$dir.part.tar" &&
    tar -xf "$dir.part.tar" -C "$dir.part" --no-same-owner --exclude=./dev \
      --transform='s,^\./lib/,./usr/lib/,' &&
    rm "$dir.part.tar" && mv "$dir.part" "$dir"
}
fetch_redis() {
  redis_trees=$build/trees/trixie
  if ! stage 'fetch: Redis 8 and Valkey' fetch-redis unpack_redis trixie redis-server,valkey-server; then
    say "Not fetched here, so not tested with: $(grep -m 1 ^E: "$logs/fetch-redis.log")"
    redis_trees=
  elif ! redis-server --version | grep -q 'v=7\.'; then
    redis_trees+=:$build/trees/bookworm
    stage 'fetch: Redis 7' fetch-redis-7 unpack_redis bookworm redis-server ||
      say "Not fetched here, so not tested with: $(grep -m 1 ^E: "$logs/fetch-redis-7.log")"
  fi
}

# To compile the test modules takes longer than to read them, so one process does it, for every process of both
# suites; outside the source tree.
with_compiled=(env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX="$build/pycache")

# integration_names [FILTER]: the names of the integration tests, or of those that it means.
integration_names() {
  "${with_compiled[@]}" NODEBEATD=/none "$python" -m pytest test/integration -p no:cacheprovider --collect-only \
    -q ${1:+-k "$1"}
}

# integration_suite LABEL NAME SECONDS FILTER VARIABLE=VALUE...: the tests of real processes. Such a test waits for
# most of its time, so there are more workers than cores. Twice as many would take less time, but then a machine that
# does something else as well is too slow for some tests.
#
# A few that fail run again, alone: that tells whether they fail by themselves or only beside others. They have
# failed all the same.
integration_suite() {
  local label=$1 name=$2 seconds=$3 filter=$4 status=0 junit=$build/$2.junit.xml before=$failed
  local cache=$build/pytest/$2 p=0
  shift 4
  local suite=("${with_compiled[@]}" "$@" timeout --kill-after=10 "$seconds" "$python" -m pytest test/integration
    -o cache_dir="$cache" -o junit_logging=all --tb=short --durations=25 ${filter:+-k "$filter"})
  rm -rf "$junit" "$cache"
  stage "$label" "test-$name" "${suite[@]}" -n $((cores + 1)) --junitxml="$junit"
  status=$?
  tally $status "$junit" "$logs/test-$name.log"
  # Only tests that failed by themselves (1): not a suite that was interrupted or could not be collected.
  ((status == 1 && failed - before <= 5)) || return
  junit=$build/$name-again.junit.xml
  rm -f "$junit"
  stage "$label, those that failed" "test-$name-again" "${suite[@]}" --last-failed -n 0 --junitxml="$junit"
  [[ ! -f $junit ]] || read -r p _ < <("$python" test/tally.py "$junit" 2>/dev/null)
  unstable=$((unstable + p))
}

# Once more as the users that `nodebeatctl redis setup` makes: what has a real Redis, in a build
# that takes no longer than it must.
acl_tests() {
  integration_suite 'integration tests: as the nodes'"'"' users' acl 900 '' \
    NODEBEATD="$build/gcc/$daemon" NODEBEAT_TEST_ACL=1
}

integration_tests() {
  local filter=$1 plain='' redis_trees
  # With a filter, a suite in which nothing matches (5) has simply nothing to add.
  if [[ -n $filter ]]; then
    integration_names "$filter" >"$logs/collect.log" 2>&1
    (($? != 5)) || return
  else
    stage 'integration tests: compile' collect integration_names
  fi
  fetch_redis
  [[ -x $build/gcc/$daemon ]] && plain=$build/gcc/$daemon
  integration_suite 'integration tests: real processes' integration 1800 "$filter" "${sanitizer_options[@]}" \
    NODEBEATD="$build/asan/$daemon" ${plain:+NODEBEATD_PLAIN="$plain"} \
    NODEBEAT_TEST_PROBE_DRIVER="$build/asan/test/support/probe_driver" \
    NODEBEAT_TEST_NODE_MODULES="$build/mcp/node_modules" \
    NODEBEAT_TEST_PAGE_MODULES="$build/page/node_modules" \
    NODEBEAT_TEST_REDIS_TREES="$redis_trees"
}

# boot_tests [vm]: a real systemd as process 1 of a small Debian, with the packages installed; in a
# virtual machine if asked for, and where systemd-nspawn can't do it.
boot_tests() {
  local status=0 junit=$build/boot.junit.xml deb vm='' why=''
  why=$("${namespace[@]}" true 2>&1)
  if ((EUID != 0)) && [[ -n $why ]]; then
    say "boot: not tested, since only root can make a system here ($why)"
    skipped=$((skipped + 1))
    return
  fi
  [[ ${1-} != vm ]] || vm=1
  # The test of the packages may have just made them.
  deb=$(compgen -G "$build/packages/nodebeat_*_$host_arch.deb")
  if [[ -z $deb || -n $(find debian systemd src include config meson.build meson_options.txt -newer "$deb" \
    -print -quit) ]] && ! package_one "$host_arch"; then
    failed=$((failed + 1))
    return
  fi
  rm -f "$junit"
  stage 'boot: systemd, the packages, a day of a node' test-boot env \
    NODEBEAT_BOOT_PACKAGES="$build/packages" NODEBEAT_BOOT_TREES="$build/trees/boot" \
    NODEBEAT_TEST_VM=$vm timeout --kill-after=10 500 "${as_root[@]}" "$python" -m pytest \
    "test/boot${vm:+/test_vm.py}" -p no:cacheprovider \
    -o junit_logging=all --junitxml="$junit" --tb=short
  status=$?
  tally $status "$junit" "$logs/test-boot.log"
}

# The stages that a filter names as a whole, beside tests by their names.
is_stage_filter() {
  [[ $1 == vm || $1 == package* || $1 == boot* || $1 == client* ]]
}

# names_matching FILTER: the tests that it means, without building anything. A unit test is a program: its
# name is read from where the build system gets it.
names_matching() {
  local filter=$1
  {
    sed -n "s/^  '\([a-z_]*\)': \[.*/\1/p" test/unit/meson.build
    sed -n "s/^  '\([a-z_]*\)': \[.*/\1_corpus/p" test/fuzz/meson.build
    sed -n "s/^ *'\([a-z-]*\)',$/\1/p; s/.*test('\([a-z-]*\)'.*/\1/p" meson.build test/meson.build \
      test/abi/meson.build test/sim/meson.build src/*/meson.build 2>/dev/null
  } | grep -iF -- "$filter"
  integration_names "$filter" 2>/dev/null | grep '::'
}

test_all() {
  local fast='' filter=''
  while (($#)); do
    case $1 in
      --fast) fast=1 ;;
      -*) usage "test does not know '$1'" ;;
      *)
        [[ -z $filter ]] || usage 'test takes one filter'
        filter=$1
        ;;
    esac
    shift
  done
  if [[ -n $fast ]]; then
    need build unit
  else
    # shellcheck disable=SC2046 # none, one or two words
    need build demo test page package sysroot $(way_to_boot "$filter")
  fi
  prepare
  if [[ -n $filter ]] && ! is_stage_filter "$filter" && [[ -z $(names_matching "$filter") ]]; then
    die "no test has '$filter' in its name; test/unit/ and test/integration/ hold them. Nothing was built."
  fi
  unset "${!NODEBEAT_@}" REDIS_URL # the tests set what they mean
  sanitizer_options=(
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
    UBSAN_OPTIONS=print_stacktrace=1
  )
  broken() { failed=$((failed + 1)); finish; }

  if [[ -n $fast ]]; then
    build_stage 'build: gcc' gcc || broken
    meson_tests gcc "$filter"
    finish
  fi
  if [[ $filter == vm ]]; then # needs the packages only
    boot_tests vm
    finish
  fi
  if [[ -z $filter ]]; then
    check_format || failed=$((failed + 1))
    build_stage 'build: gcc, warnings are errors' gcc || broken
  fi
  build_stage 'build: clang, ASan + UBSan, same' asan || broken
  [[ -n $filter ]] || meson_tests gcc ''
  meson_tests asan "$filter"
  [[ -n $filter && $filter != client* ]] || tsan_tests
  if [[ -d test/integration ]]; then
    if [[ -f test/mcp/package.json ]] && ! stage 'npm: MCP servers, what drives a browser' npm install_all_npm; then
      tail -n 20 "$logs/npm.log"
      failed=$((failed + 1))
    fi
    integration_tests "$filter"
    [[ -n $filter ]] || acl_tests
  fi
  [[ -n $filter && $filter != package* ]] || package_tests
  [[ -n $filter && $filter != boot* ]] || boot_tests
  if [[ -z $filter ]]; then
    # With what was built for the tests: a release would take as long again.
    if stage 'demo: beats land in Redis' demo env DEV_DEMO_BUILD=gcc "$root/dev" demo --for 3s; then
      passed=$((passed + 1))
    else
      cat "$logs/demo.log"
      failed=$((failed + 1))
    fi
  fi
  finish
}
