# Sourced by ./dev: the libraries of another architecture, unpacked into a folder. Nothing of it is
# installed, no foreign architecture is added to this system, nothing of it runs to set it up.

# What is built for another architecture links against these; the two header-only ones serve any.
sysroot_packages=libc6-dev,libstdc++6,libuv1-dev,libhiredis-dev,libhttp-parser-dev,libcjson-dev
sysroot_packages+=,libgtest-dev,libcli11-dev,libpq-dev,libmicrohttpd-dev

declare -A triplet_of=([arm64]=aarch64-linux-gnu [armhf]=arm-linux-gnueabihf [amd64]=x86_64-linux-gnu)
declare -A emulator_of=([arm64]=qemu-aarch64 [armhf]=qemu-arm)

# Debian 12 names the emulators that need no library of the system -static, Debian 13 has no others.
emulator() { command -v "${emulator_of[$1]}-static" || command -v "${emulator_of[$1]}"; }

sysroot_of() { printf '%s' "$build/cross/sysroot-$1"; }

# The mirrors that this system uses for its own Debian; nothing where that cannot be told, and then
# mmdebstrap has its own.
debian_sources() {
  apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' | grep -F " $1" | grep ' main$' | sort -u
}

# fetch_sysroot ARCH SUITE DIR SOURCES. As an archive: made in a namespace of users, the folder itself
# would belong to nobody here.
fetch_sysroot() {
  # Without /etc: the emulator would take its resolv.conf and hosts for this system's.
  printf '%s\n' "$4" | mmdebstrap --variant=extract --arch="$1" --include="$sysroot_packages" \
    --format=tar --skip=essential/unlink,download/empty,cleanup "$2" - ${4:+-} |
    tar -x -C "$3" --no-same-owner --exclude=./dev --exclude=./etc --exclude=./usr/share/doc \
      --exclude=./usr/share/man --exclude=./usr/share/locale
}

# unpack_sysroot ARCH: of the Debian that this runs on, so that what is built here runs there.
unpack_sysroot() {
  local arch=$1 dir suite deb
  dir=$(sysroot_of "$arch")
  suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
  local want="$suite $sysroot_packages $dir $(candidates)"
  [[ $(cat "$dir/.complete" 2>/dev/null) == "$want" ]] && return
  rm -rf "$dir" && mkdir -p "$dir" || return
  if ! fetch_sysroot "$arch" "$suite" "$dir" "$(debian_sources "$suite")"; then
    # Of the architectures that few mirrors keep fresh, the security archive may be half there. Whether
    # what is linked in lacks anything by that, older_than_here() tells.
    say "once more, without $suite-security"
    rm -rf "$dir" && mkdir -p "$dir" &&
      fetch_sysroot "$arch" "$suite" "$dir" "$(debian_sources "$suite" | grep -v security)" || return
  fi
  # A link to /lib/... means the sysroot's, not this system's.
  find "$dir" -lname '/*' -printf '%P %l\n' | while read -r link target; do
    ln -sfr "$dir$target" "$dir/$link"
  done
  # dpkg-shlibdeps asks a package database which package a library is from, and from which version on.
  for deb in "$dir"/var/cache/apt/archives/*.deb; do
    register_package "$dir" "$arch" "$deb" || return
  done
  rm -f "$dir"/var/cache/apt/archives/*.deb
  printf '%s\n' "$want" >"$dir/.complete"
}

register_package() {
  local dir=$1 arch=$2 deb=$3 name info=$1/var/lib/dpkg/info
  name=$(dpkg-deb -f "$deb" Package)
  [[ $(dpkg-deb -f "$deb" Multi-Arch) == same ]] && name+=:$arch
  { dpkg-deb -f "$deb" && printf 'Status: install ok installed\n\n'; } >>"$dir/var/lib/dpkg/status"
  printf '%s\n' "$arch" >"$dir/var/lib/dpkg/arch"
  printf '1\n' >"$info/format"
  # Libraries are found below the sysroot, so that is where the list says they are.
  dpkg-deb --fsys-tarfile "$deb" | tar -t | sed "s#^\.#$dir#; s#/\$##" >"$info/$name.list"
  local member
  for member in symbols shlibs; do
    dpkg-deb -I "$deb" $member >"$info/$name.$member" 2>/dev/null || rm -f "$info/$name.$member"
  done
}

# What ends up inside the programs, and must not be older than what this system would install.
linked_packages=(libuv1-dev libhiredis-dev libhttp-parser-dev libcli11-dev)
candidates() { apt-cache policy "${linked_packages[@]}" | sed -n 's/^  Candidate: //p' | paste -sd' '; }

# older_than_here ARCH: those that are, with both versions; nothing if there are none. A rebuild for one
# architecture (+b1) changes no source.
older_than_here() {
  local package here there versions at=0
  read -ra versions < <(candidates)
  for package in "${linked_packages[@]}"; do
    here=${versions[at++]-}
    there=$(dpkg-query --admindir="$(sysroot_of "$1")/var/lib/dpkg" -W -f '${Version}' "$package" 2>/dev/null)
    ! dpkg --compare-versions "${there%+b[0-9]*}" lt "${here%+b[0-9]*}" ||
      printf '%s %s (here %s)\n' "$package" "$there" "$here"
  done
}

# prepare_sysroot ARCH: the folder, and the Meson file that says where it is.
prepare_sysroot() {
  stage "libraries: $1" "sysroot-$1" unpack_sysroot "$1" || {
    tail -n 20 "$logs/sysroot-$1.log"
    return 1
  }
  printf '[constants]\nsysroot = %s\nemulator = %s\n' "'$(sysroot_of "$1")'" \
    "'$(emulator "$1" || printf 'no-%s' "${emulator_of[$1]}")'" >"$build/cross/$1.ini"
}
