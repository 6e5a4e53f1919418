# Sourced by ./dev: Debian packages for this machine and for others, of the Debian that this runs on.

host_arch=$(dpkg --print-architecture 2>/dev/null)

# copy_source DIR: what git knows or would; no build folder, nobody's notes.
copy_source() {
  rm -rf "$1" && mkdir -p "$1" &&
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
      git ls-files -z --cached --others --exclude-standard --deduplicate |
        while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done |
        tar -c --null -T - | tar -x -C "$1"
    else
      tar -c --exclude='./build*' . | tar -x -C "$1"
    fi
}

# make_packages ARCH DIR: builds in a copy of the source, and leaves the packages beside it in DIR.
make_packages() {
  local arch=$1 dir=$2 source=$2/source options=(-b -us -uc "-j$cores") environment=()
  # What somebody has set for other builds must not be in this one.
  environment=(env -u DEB_BUILD_OPTIONS -u DEB_BUILD_PROFILES -u MAKEFLAGS LC_ALL=C.UTF-8)
  # debhelper builds with a home folder of its own, where the compiler cache would always be empty.
  if command -v ccache >/dev/null; then
    environment+=(PATH="/usr/lib/ccache:$PATH" CCACHE_NOHASHDIR=1 CCACHE_BASEDIR="$dir"
      CCACHE_DIR="$(ccache --get-config cache_dir)")
  fi
  if [[ $arch != "$host_arch" ]]; then
    cat "$build/cross/$arch.ini" "config/cross/${triplet_of[$arch]}.ini" | sed '2,${/^\[constants\]$/d}' \
      >"$build/cross/$arch-package.ini"
    environment+=(DH_MESON_CROSS_FILE="$build/cross/$arch-package.ini"
      NODEBEAT_SYSROOT="$(sysroot_of "$arch")" DEB_BUILD_PROFILES='cross nocheck')
    options+=("-a$arch" -d) # what it needs is in the sysroot, where dpkg does not look
  fi
  rm -rf "$dir" && copy_source "$source" || return
  (umask 022 && cd "$source" && "${environment[@]}" dpkg-buildpackage "${options[@]}")
}

# show_packages DIR ARCH: what each is to fetch and then takes. nodebeat is all that an agent's node needs;
# a robot's program needs libnodebeat0 beside it.
show_packages() {
  local deb download installed sum_download=0 sum_installed=0
  printf '  %-42s %14s %14s\n' '' 'download' 'installed'
  for deb in "$1"/*_"$2".deb "$1"/*_all.deb; do
    download=$(stat -c %s "$deb")
    installed=$(dpkg-deb -f "$deb" Installed-Size)
    printf '  %-42s %10d B %11d KiB\n' "${deb##*/}" "$download" "$installed"
    if [[ $deb == */nodebeat_* || $deb == */libnodebeat0_* ]]; then
      ((sum_download += download, sum_installed += installed))
    fi
  done
  printf '  %-42s %10d B %11d KiB\n' 'a robot: nodebeat, libnodebeat0' $sum_download $sum_installed
  deb=$(compgen -G "$1/nodebeat_*_$2.deb")
  if (($(stat -c %s "$deb") > 400000 || $(dpkg-deb -f "$deb" Installed-Size) * 1024 > 1000000)); then
    say "${deb##*/} is too large: at most 400,000 bytes to fetch, 1,000,000 installed"
    return 1
  fi
}

package_one() {
  local arch=$1 work=$build/package/$1
  if [[ $arch != "$host_arch" ]]; then
    prepare_sysroot "$arch" || return
    local older
    older=$(older_than_here "$arch")
    if [[ -n $older ]]; then
      say "No packages for $arch: they would have linked in what lacks fixes, since Debian's archives for" \
        "$arch could not be fetched whole ($logs/sysroot-$arch.log):" "$older"
      return 1
    fi
  fi
  if ! stage "packages: $arch" "package-$arch" make_packages "$arch" "$work"; then
    tail -n 40 "$logs/package-$arch.log"
    return 1
  fi
  mkdir -p "$build/packages"
  rm -f "$build"/packages/*_{"$arch",all}.deb
  mv "$work"/*.deb "$build/packages/" || return
  show_packages "$build/packages" "$arch"
}

# The same source later, in another folder, time zone and umask, without the compiler cache and in one
# thread: nothing of that may be in the packages.
make_again() {
  local arch=$1 dir=$2
  (
    umask 077
    cores=1
    export CCACHE_DISABLE=1 TZ=Asia/Kathmandu
    make_packages "$arch" "$dir"
  )
}

check_one() {
  local arch=$1 deb status=0
  local again=$build/package/again-$1/in-a-folder-with-a-longer-name
  if ! stage "packages: $arch, once more" "package-again-$arch" make_again "$arch" "$again"; then
    tail -n 40 "$logs/package-again-$arch.log"
    return 1
  fi
  for deb in "$build"/packages/*_{"$arch",all}.deb; do
    if cmp -s "$deb" "$again/${deb##*/}"; then
      say "  same: $(sha256sum <"$deb" | cut -c1-16)... ${deb##*/}"
    else
      say "  DIFFERS: ${deb##*/}, see $again"
      status=1
    fi
  done
  return $status
}

package() {
  local arches=() arch check='' status=0
  while (($#)); do
    case $1 in
      amd64 | arm64 | armhf) arches+=("$1") ;;
      all) arches=(amd64 arm64 armhf) ;;
      --check) check=1 ;;
      *) usage "package does not know '$1': amd64, arm64, armhf or all; --check" ;;
    esac
    shift
  done
  ((${#arches[@]})) || arches=("$host_arch")
  local groups=(build package)
  for arch in "${arches[@]}"; do
    [[ $arch == "$host_arch" ]] || groups+=(sysroot "$arch")
  done
  need "${groups[@]}"
  prepare
  for arch in "${arches[@]}"; do
    package_one "$arch" || { status=1 && continue; }
    [[ -z $check ]] || check_one "$arch" || status=1
  done
  if ((!status)); then
    say "In $build/packages. The agent and its command line are installed by"
    say "  sudo apt install $build/packages/{nodebeat,nodebeat-tools,libnodebeat0}_*_$host_arch.deb"
  fi
  exit $status
}

# --- the test of the packages, part of ./dev test ---------------------------------------------------

# A small Debian with what the packages depend on, but without them. Of alternatives the first: the others are
# names of other releases.
make_tree() {
  local dir=$1 suite depends want
  suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
  depends=$(for deb in "$build"/packages/*_{"$host_arch",all}.deb; do dpkg-deb -f "$deb" Depends; done |
    tr ',' '\n' | sed 's/[(|:].*//; s/ //g' | grep -E '^(lib|python3$)' | grep -v nodebeat | sort -u | paste -sd,)
  want="$suite apt tmpfiles $depends, made by $EUID"
  [[ $(cat "$dir.complete" 2>/dev/null) == "$want" ]] && return
  "${as_root[@]}" rm -rf --one-file-system "$dir" "$dir.complete" || return
  local sources
  sources=$(debian_sources "$suite")
  # It binds this computer's /proc, /sys and /dev/shm into the tree. In a namespace of its own they are
  # nobody else's to stumble over, and go with it however it ends.
  printf '%s\n' "$sources" | "${namespace[@]}" mmdebstrap --variant=essential \
    --include="apt,systemd-standalone-sysusers,systemd-standalone-tmpfiles,$depends" \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$dir" ${sources:+-} &&
    printf '%s\n' "$want" >"$dir.complete"
}

package_tests() {
  local status=0 junit=$build/package.junit.xml tree=$build/package/tree why
  if ! why=$("${namespace[@]}" mount -t tmpfs none /tmp 2>&1); then
    say "packages: not tested, since no tree to install them in can be mounted here ($why)"
    skipped=$((skipped + 1))
    return
  fi
  if ! package_one "$host_arch" || ! stage 'packages: a tree to install them in' package-tree make_tree "$tree"; then
    failed=$((failed + 1))
    tail -n 20 "$logs/package-tree.log" 2>/dev/null
    return
  fi
  rm -f "$junit"
  stage 'packages: install, upgrade, remove, purge' test-package env NODEBEAT_TEST_TREE="$tree" \
    NODEBEAT_TEST_PACKAGES="$build/packages" NODEBEAT_TEST_ARCH="$host_arch" timeout --kill-after=10 600 \
    "${namespace[@]}" "$python" -m pytest test/package -p no:cacheprovider -o junit_logging=all \
    --junitxml="$junit" --tb=short
  status=$?
  tally $status "$junit" "$logs/test-package.log"
}
