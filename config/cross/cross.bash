# Sourced by ./dev: builds for a machine that this is not, and tries it under an emulator.

cross_configure() {
  local arch=$1 dir=$build/cross/$1 cache=()
  # Linked as the packages are.
  local options=(--buildtype=minsize -Ddebug=false -Db_ndebug=false -Dwerror=true -Dstatic=true)
  local want="$root ${options[*]}"
  [[ -f $dir/build.ninja && $(cat "$dir/dev-options" 2>/dev/null) == "$want" ]] && return
  rm -rf "$dir"
  command -v ccache >/dev/null && cache=(env "PATH=/usr/lib/ccache:$PATH")
  "${cache[@]}" meson setup "$dir" "$root" --cross-file "$build/cross/$arch.ini" \
    --cross-file "config/cross/${triplet_of[$arch]}.ini" "${options[@]}" || return
  printf '%s\n' "$want" >"$dir/dev-options"
}

cross_compile() { cross_configure "$1" && ninja -C "$build/cross/$1" -j "$cores" -k 20; }

# What the integration suite starts, each a script that starts the emulator, in folders as the build
# has them: so nothing has to be registered in this system's kernel (binfmt).
wrap_programs() {
  local arch=$1 program path wrapped=$build/cross/$1-emulated
  rm -rf "$wrapped"
  for program in $daemon src/ctl/nodebeatctl test/examples/{robot_sim,two_agents} \
    test/support/{probe,glob,toml}_driver; do
    path=$wrapped/$program
    mkdir -p "${path%/*}"
    printf '#!/bin/sh\nexec %q -L %q %q "$@"\n' "$(emulator "$arch")" "$(sysroot_of "$arch")" \
      "$build/cross/$arch/$program" >"$path"
    chmod +x "$path"
  done
  # nodebeatctl starts the daemon that it finds beside itself: that must be the script, too.
  path=$wrapped/src/ctl/nodebeatctl
  cp "$build/cross/$arch/src/ctl/nodebeatctl" "$path.real"
  sed -i "s#$build/cross/$arch/src/ctl/nodebeatctl#$path.real#" "$path"
  ln -s "$build/cross/$arch/src/client" "$wrapped/src/client"
}

cross_units() {
  local arch=$1 dir=$build/cross/$1 junit=$build/cross/$1/meson-logs/testlog.junit.xml status=0
  rm -f "$junit" "$dir"/*.xml
  stage "units: $arch, emulated" "test-$arch" env NODEBEAT_TEST_EMULATED=1 meson test \
    -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 10 --num-processes "$cores"
  status=$?
  tally $status "$junit" "$logs/test-$arch.log"
}

cross_integration() {
  local arch=$1 filter=$2 status=0 junit=$build/cross/$1/integration.junit.xml
  local wrapped=$build/cross/$1-emulated redis_trees
  if ! stage 'npm: MCP servers to test against' npm install_npm mcp; then
    tail -n 20 "$logs/npm.log"
    failed=$((failed + 1))
  fi
  fetch_redis
  rm -f "$junit"
  wrap_programs "$arch"
  stage "integration tests: $arch, emulated" "integration-$arch" env NODEBEATD="$wrapped/$daemon" \
    NODEBEAT_TEST_PROBE_DRIVER="$wrapped/test/support/probe_driver" \
    NODEBEAT_TEST_GLOB_DRIVER="$wrapped/test/support/glob_driver" \
    NODEBEAT_TEST_TOML_DRIVER="$wrapped/test/support/toml_driver" \
    NODEBEAT_TEST_NODE_MODULES="$build/mcp/node_modules" NODEBEAT_TEST_SLOWNESS=4 \
    NODEBEAT_TEST_REDIS_TREES="$redis_trees" \
    NODEBEAT_TEST_EMULATED=1 timeout --kill-after=10 3000 "$python" -m pytest test/integration \
    -p no:cacheprovider -n "$cores" -o junit_logging=all --junitxml="$junit" --tb=short \
    ${filter:+-k "$filter"}
  status=$?
  tally $status "$junit" "$logs/integration-$arch.log"
}

# A build that is stripped as the packages' is; `file` tells what it needs to run.
show_sizes() {
  local file stripped
  stripped=$(mktemp) || return
  for file in $daemon src/ctl/nodebeatctl src/client/libnodebeat.so; do
    "${triplet_of[$1]}-strip" -o "$stripped" "$build/cross/$1/$file" &&
      printf '  %-28s %8d B stripped\n' "${file##*/}" "$(stat -c %s "$stripped")"
  done
  rm -f "$stripped"
}

cross() {
  local arch=${1-} filter=${2-}
  [[ $arch == arm64 || $arch == armhf ]] || usage "cross wants arm64 or armhf, and perhaps a filter"
  need build demo test sysroot "$arch" cross
  prepare
  unset "${!NODEBEAT_@}" REDIS_URL
  prepare_sysroot "$arch" || exit 1
  if ! stage "build: $arch" "build-$arch" cross_compile "$arch"; then
    grep -E -A 12 '(error|ERROR|undefined reference)' "$logs/build-$arch.log" | head -n 60
    exit 1
  fi
  show_sizes "$arch"
  [[ -n $filter ]] || cross_units "$arch"
  cross_integration "$arch" "$filter"
  finish
}
