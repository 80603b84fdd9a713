#!/usr/bin/env bash
# Makes the Debian package artifacts/deb/reconciler_VERSION_ARCH.deb of artifacts/bin/reconciler, which it builds where it is missing, and prints its path.
# The same commit and binary give the same bytes. Usage: scripts/package.sh [VERSION]
set -eu
cd "$(dirname "$0")/.."
version=${1:-$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)}
case "$version" in
  [0-9]*) ;;
  *) echo "scripts/package.sh: a version begins with a digit, not \"$version\"" >&2; exit 1 ;;
esac
command -v dpkg-deb >/dev/null || { echo "scripts/package.sh: dpkg-deb is missing: install the package dpkg" >&2; exit 1; }
[ -x artifacts/bin/reconciler ] || scripts/build.sh >&2
binary=$PWD/artifacts/bin/reconciler
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Directory.Build.props)}
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d "${RECONCILER_TEST_ROOT:-/tmp}/deb-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
root=$work/root
doc=$root/usr/share/doc/reconciler
mkdir -p "$root/DEBIAN" "$root/etc/reconciler/manifests" "$root/usr/share/man/man1" "$doc"
install -D -m 0755 "$binary" "$root/usr/bin/reconciler"
install -D -m 0644 packaging/reconciler.service "$root/usr/lib/systemd/system/reconciler.service"
install -m 0644 packaging/config.yaml "$root/etc/reconciler/config.yaml"
install -m 0644 packaging/copyright "$doc/copyright"
install -D -m 0644 packaging/lintian-overrides "$root/usr/share/lintian/overrides/reconciler"
install -m 0755 packaging/postinst packaging/prerm packaging/postrm "$root/DEBIAN/"
echo /etc/reconciler/config.yaml >"$root/DEBIAN/conffiles"

for shell in bash/usr/share/bash-completion/completions/reconciler zsh/usr/share/zsh/vendor-completions/_reconciler; do
  mkdir -p "$(dirname "$root/${shell#*/}")"
  "$binary" completion "${shell%%/*}" >"$root/${shell#*/}"
done

# pages COMMAND...: the page of a command and those of its sub commands, for as deep as they go.
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)
pages() {
  local page help subs sub also=
  page=$(IFS=-; echo "reconciler${*:+-$*}")
  help=$("$binary" "$@" --help)
  subs=$(awk '/^Commands:/ {on = 1; next} /^[^ ]/ {on = 0} on && NF {sub(/^ +/, ""); sub(/(  | <).*/, ""); sub(/.*, /, ""); print}' <<<"$help")
  for sub in $subs; do also="$also $page-$sub"; done
  [ $# -eq 0 ] || also=" ${page%-*}$also"
  awk -v page="$page" -v version="$version" -v date="$date" -v also="$also" -f packaging/man.awk <<<"$help" | gzip -9n >"$root/usr/share/man/man1/$page.1.gz"
  for sub in $subs; do pages "$@" "$sub"; done
}
pages

{
  echo "reconciler ($version) unstable; urgency=medium"
  echo
  echo "  * Release $version."
  echo
  echo " -- Reconciler maintainers <maintainers@reconciler.dev>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.gz"

# The newest symbols the binary asks glibc for. OpenSSL is loaded by name when TLS is first used.
glibc=$(grep -ao 'GLIBC_2\.[0-9]*' "$binary" | sort -uV | tail -n 1)
cat >"$root/DEBIAN/control" <<END
Package: reconciler
Version: $version
Architecture: $arch
Maintainer: Reconciler maintainers <maintainers@reconciler.dev>
Installed-Size: $(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6 (>= ${glibc#GLIBC_}), libssl3t64 | libssl3, ca-certificates, containerd (>= 1.6) | containerd.io (>= 1.6)
Section: admin
Priority: optional
Homepage: https://reconciler.dev
Description: keeps the containers and images of this machine as declared
 YAML in a folder, or NodeWorkload objects of a Kubernetes cluster, say what
 should run; the agent makes containerd run it and keeps it so. It can be
 restarted, upgraded and removed without touching a running container.
END
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p artifacts/deb
deb=artifacts/deb/reconciler_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -z3 --build "$root" "$work/out.deb" >/dev/null
mv "$work/out.deb" "$deb"
echo "$deb"
