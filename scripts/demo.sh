#!/usr/bin/env bash
# Shows the main job in about a minute: a private containerd runs the containers of samples/, one is killed and healed before your eyes.
# Everything lives in one temporary folder and is gone afterwards. Usage: sudo scripts/demo.sh
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "scripts/demo.sh: run as root, containers need it" >&2; exit 1; }
scripts/install.sh containerd runc docker-registry busybox-static skopeo umoci procps clang zlib1g-dev

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

port=5055 # samples/ name it
if (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; then
  echo "scripts/demo.sh: port $port of 127.0.0.1 is taken; the images of samples/ are served there" >&2
  exit 1
fi
work=$(mktemp -d /tmp/rcd-XXXXXX)
registry='' agent=''
cleanup() {
  trap - EXIT
  trap '' INT TERM
  say "cleaning up"
  if [ -n "$agent" ]; then
    rm -rf "$work/manifests"/* # an empty folder is a wish for nothing
    for _ in $(seq 100); do
      [ -z "$(reconciler get containers -o name 2>/dev/null)" ] && break
      sleep 0.2
    done
    kill "$agent" 2>/dev/null && wait "$agent" 2>/dev/null || true
  fi
  [ -n "$registry" ] && kill "$registry" 2>/dev/null || true
  for pid in $(pgrep -f -- "$work" || true); do
    [ "$pid" = $$ ] || kill -9 "$pid" 2>/dev/null || true
  done
  awk -v r="$work/" 'index($2, r) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d -path "*/$ns*" -exec rmdir {} + 2>/dev/null || true
  rm -rf "$work"
}
ns=demo$$
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "building the native binary (about a minute the first time)"
scripts/build.sh
export RECONCILER_STATE_DIR=$work/state RECONCILER_LOG_DIR=$work/log RECONCILER_EMBEDDED_CONTAINERD=true RECONCILER_PLAIN_HTTP=127.0.0.1:$port \
  RECONCILER_CONTAINERD_NAMESPACE=$ns RECONCILER_NODE_NAME=demo
reconciler() { artifacts/bin/reconciler "$@"; }

say "a registry on 127.0.0.1:$port with one image, made from busybox"
printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work/registry" $port >"$work/registry.yml"
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
registry=$!
mkdir "$work/image"
(
  cd "$work/image"
  umoci init --layout oci && umoci new --image oci:b && umoci unpack --image oci:b b
  mkdir -p b/rootfs/bin b/rootfs/tmp b/rootfs/www
  cp /bin/busybox b/rootfs/bin/
  for applet in sh sleep echo cat ls ps env id true false httpd wget date seq kill; do ln -sf busybox "b/rootfs/bin/$applet"; done
  echo hello >b/rootfs/www/index.html
  umoci repack --image oci:b b && umoci config --image oci:b --config.cmd sh --config.env PATH=/bin
) >"$work/image.log" 2>&1 || { cat "$work/image.log"; exit 1; }
skopeo copy --quiet --retry-times 5 --dest-tls-verify=false "oci:$work/image/oci:b" docker://127.0.0.1:$port/demo/busybox:1

say "the manifests"
mkdir "$work/manifests"
cp samples/*.yaml "$work/manifests/"
run cat samples/web.yaml
run reconciler validate -f "$work/manifests"

say "the agent starts, with a containerd of its own"
reconciler agent --manifests "$work/manifests" 2>"$work/agent.log" &
agent=$!
wait_for() { # wait_for WHAT COMMAND...
  what=$1; shift
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 "$agent" 2>/dev/null || { cat "$work/agent.log"; echo "the agent ended" >&2; exit 1; }
    sleep 0.2
  done
  cat "$work/agent.log"
  echo "waited a minute for: $what" >&2
  exit 1
}
running() { reconciler get containers | grep -q "^default *web *server .*Running"; }
wait_for "the container of samples/web.yaml runs" running
converged() { reconciler plan --manifests "$work/manifests"; }
wait_for "nothing is left to do" converged
run reconciler get containers
run reconciler get images

say "kill -9 of the web server's process: it is replaced at once"
pid_of() { reconciler get containers -o wide | awk '$2 == "web" && $3 == "server" {for (i = 1; i <= NF; i++) if (h[i] == "PID") print $i} NR == 1 {for (i = 1; i <= NF; i++) h[i] = $i}'; }
old=$(pid_of)
run kill -9 "$old"
healed() { new=$(pid_of); [ -n "$new" ] && [ "$new" != "$old" ] && [ "$new" != 0 ] && running; }
wait_for "another process runs" healed
run reconciler get containers
grep -E "web/server" "$work/agent.log" | tail -n 4

say "a file is removed: its containers stop; plan says what is about to happen"
rm "$work/manifests/web.yaml"
reconciler plan --manifests "$work/manifests" || true
gone() { ! reconciler get containers | grep -q "^default *web "; }
wait_for "the container is gone" gone
run reconciler get containers
say "done"
