# What the boots share.
manifests=/etc/reconciler/manifests
workloads=$(seq -f 'w%02g' 20)

# check NAME COMMAND...: one line of the report.
check() {
  local name=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "PASS $name" >&3
  else
    echo "FAIL $name: $(tail -c 300 <<<"$said" | tr '\n' ' ')" >&3
    echo "=== $name: $said"
    systemctl status --no-pager reconciler.service
    journalctl -b --no-pager -n 30 -u reconciler.service
  fi
}

# within SECONDS COMMAND...: until it succeeds. The machine is emulated, so limits are generous; says what it said last.
within() {
  local limit=$((SECONDS + $1)) said
  shift
  until said=$("$@" 2>&1); do
    [ $SECONDS -lt $limit ] || { echo "not in time: $*: $said"; return 1; }
    sleep 2 # each look costs the machine as much as a container
  done
  echo "$said"
}

# declare_workload NAME [LIMITS [COMMAND]]: a container that runs until it is told to end, its name in its command line.
declare_workload() {
  local command=${3:-'trap \"exit 0\" TERM; while :; do sleep 1000 & wait; done'}
  cat >"$manifests/.$1" <<END
apiVersion: reconciler.dev/v1alpha1
kind: NodeWorkload
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: ${grace:-10}
  containers:
  - name: main
    image: docker.io/library/box:1
    command: [sh, -c, "$command", $1${mark:-}]
    resources: {limits: {${2:-}}}
END
  mv "$manifests/.$1" "$manifests/$1.yaml"
  sync -f "$manifests"
}

box_image() {
  local d
  d=$(mktemp -d)
  mkdir -p "$d/rootfs/bin" "$d/rootfs/tmp"
  cp /bin/busybox "$d/rootfs/bin/"
  for applet in sh sleep cat echo tail; do ln -s busybox "$d/rootfs/bin/$applet"; done
  tar -C "$d/rootfs" -cf "$d/layer.tar" .
  printf '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(sha256sum <"$d/layer.tar" | cut -d' ' -f1)" >"$d/config.json"
  echo '[{"Config":"config.json","RepoTags":["docker.io/library/box:1"],"Layers":["layer.tar"]}]' >"$d/manifest.json"
  tar -C "$d" -cf "$d/image.tar" manifest.json config.json layer.tar
  ctr -n reconciler images import "$d/image.tar" && rm -rf "$d"
}

containers() { reconciler get containers -A -o json; }
field() { containers | jq -r --arg w "$1" ".items[] | select(.workload == \$w) | $2"; }

# running: of containerd's own tasks, "container pid".
running() { ctr -n reconciler tasks ls | awk '$3 == "RUNNING" {print $1, $2}' | sort; }

# arguments: every argument of every process, a line each. Containers have their workload's name among theirs.
arguments() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n'; }

# processes NAME: how many have exactly this argument. Nothing that looks for it may run while it is looked at.
processes() {
  local all
  all=$(arguments)
  grep -cxF -e "$1" <<<"$all" || true
}

# each_once NAME...: nothing else runs, and of each exactly one task and one process (whose argument may have a "-mark"); the agent says it is ready.
each_once() {
  local expected ready all
  all=$(arguments)
  expected=$(printf '%s\n' "$@" | sort)
  diff <(echo "$expected") <(sed 's/-[a-z]*$//' <<<"$all" | grep -xF "$expected" | sort) || return 1
  ready=$(containers | jq -r '.items[] | select(.ready) | .workload' | sort)
  diff <(echo "$expected") <(echo "$ready") || return 1
  [ "$(running | wc -l)" = $# ] || { echo "$(running | wc -l) running tasks, not $#"; return 1; }
}

agent_pid() { systemctl show -p MainPID --value reconciler.service; }

# other_agent PID: the service runs with another process, and reconciles.
other_agent() {
  local now
  now=$(agent_pid)
  [ "$now" != 0 ] && [ "$now" != "$1" ] && systemctl -q is-active reconciler.service && reconciling
}
reconciling() { systemctl show -p StatusText --value reconciler.service | grep '^reconciling'; }

# untouched BEFORE: the same tasks with the same pids.
untouched() { diff <(echo "$1") <(running); }

# after_step NAME COMMAND...: COMMAND replaces the agent and touches no container.
after_step() {
  local name=$1 before agent
  shift
  before=$(running) agent=$(agent_pid)
  check "$name" "$@"
  check "$name: another agent reconciles" within 300 other_agent "$agent"
  check "$name: no container was touched" untouched "$before"
}

# cgroup WORKLOAD: the folder of its container.
cgroup() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(field "$1" .pid)/cgroup")"; }

limits_are_set() { # limits_are_set WORKLOAD
  local folder
  folder=$(cgroup "$1") || return 1
  diff <(printf '67108864\n50000 100000\n50\n') <(cat "$folder/memory.max" "$folder/cpu.max" "$folder/pids.max")
}

oom_is_reported() { # oom_is_reported WORKLOAD
  containers | jq -e --arg w "$1" '.items[] | select(.workload == $w) | .restarts > 0 and ([.. | strings | select(test("OOMKilled"))] | length > 0)'
}

gone() { [ -z "$(field "$1" .id)" ] && [ "$(processes "$1")" = 0 ]; }

# is_scope WORKLOAD: its cgroup is systemd's. crun makes one more in it.
is_scope() { cgroup "$1" | sed 's:/container$::' | grep -x "/sys/fs/cgroup/reconciler.slice/reconciler-$(field "$1" .id).scope"; }

# settings LINE...: those of the agent beside the packaged ones, at once.
settings() {
  sed -i '/^# of the test/,$d' /etc/reconciler/config.yaml
  printf '%s\n' '# of the test' "$@" >>/etc/reconciler/config.yaml
  systemctl restart reconciler.service
}

# Not below /run, where nothing may be executed.
library_tests() {
  local log=$memory/library/log
  DOTNET_ROOT=$memory/library/dotnet RECONCILER_TEST_ROOT=/tmp/rct RECONCILER_TEST_RUNTIME=crun RECONCILER_TEST_SYSTEMD_CGROUP=1 \
    "$memory/library/tests/Reconciler.Containerd.Tests" --no-ansi --progress off \
    --filter-class Reconciler.Containerd.Tests.Processes.MetricsTests --filter-class Reconciler.Containerd.Tests.Processes.ResourceTests >"$log" 2>&1 ||
    { grep -A 8 '^failed' "$log" || cat "$log"; return 1; }
}
