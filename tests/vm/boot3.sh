# After the power cut; then purge, the client library, systemd's cgroups and crun.
changed() { [ "$(processes w02-changed)" = 1 ] && [ "$(processes w02-slow)" = 0 ] && each_once $workloads late; }
check "power cut: all are back, each once" within 600 each_once $workloads late
check "power cut: the one that was being changed is the new one, once" within 300 changed
check "power cut: the state file is whole" test ! -e /var/lib/reconciler/state.json.broken
check "restart of a workload by command" sh -c 'reconciler restart w03'

check "purge" sh -c 'dpkg -P reconciler >/run/purge.log'
check "purge: containers run on" test "$(running | wc -l)" -ge 20
check "purge: it says what it leaves" grep -q 'ctr -n reconciler tasks' /run/purge.log
grep '^  ' /run/purge.log >/run/purge.sh
check "purge: its commands remove the rest" sh -e /run/purge.sh
empty() { [ -z "$(ctr -n reconciler containers ls -q; ctr -n reconciler tasks ls -q; ctr -n reconciler images ls -q)" ] && ! test -e /var/lib/reconciler; }
check "purge: nothing is left" within 60 empty

# Of the client library's own tests those where kernel and OCI runtime have a say. Once only: on an emulated machine they take a minute to start.
mkdir "$memory/library"
tar -C "$memory/library" -xf library.tar
check "library: metrics, limits, pause and signals with crun in systemd's cgroups" library_tests
rm -r "$memory/library"

check "systemd: image" box_image
check "systemd: install" dpkg -i 2.deb
settings 'systemd-cgroup: true'
check "systemd: the agent has the setting" within 120 reconciling
declare_workload a 'memory: 64Mi, cpu: 500m, pids: "50"'
check "systemd: it runs" within 300 each_once a
check "systemd: its cgroup is a scope in our slice" is_scope a
check "systemd: limits" limits_are_set a
made_by() { [ -e "/run/containerd/runc/reconciler/$(field "$2" .id)/$1" ]; } # each keeps a file of its own about a container
check "systemd: it is runc that runs it" made_by state.json a

settings 'systemd-cgroup: true' 'oci-runtime: crun'
before=$(running)
declare_workload b 'memory: 64Mi, cpu: 500m, pids: "50"'
check "crun: one more runs" within 300 each_once a b
check "crun: the first was not touched" sh -c "echo '$(running)' | grep -x '$before'"
check "crun: it is crun that runs it" made_by status b
check "crun: its cgroup is a scope in our slice" is_scope b
check "crun: limits" limits_are_set b
check "crun: exec" test "$(reconciler exec b -- echo here)" = here
declare_workload hog 'memory: 16Mi' 'sleep 1; tail /dev/zero'
check "crun: out of memory is reported and restarted" within 300 oom_is_reported hog
rm "$manifests/hog.yaml"
check "crun: what is no longer declared goes" within 300 gone hog
shim() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$(field b .pid)/status"; }
pid=$(field b .pid)
kill -KILL "$(shim)" "$pid"
another() { each_once a b && [ "$(field b .pid)" != "$pid" ]; }
check "crun: shim and container killed: there is another" within 300 another

settings 'oci-runtime: no-such-runtime'
before=$(running)
declare_workload c
unmakable() { containers | jq -e '[.. | strings | select(test("no-such-runtime"))] | length > 0' || reconciler describe c | grep no-such-runtime; }
check "a runtime that is not there: the reason names it" within 300 unmakable
check "a runtime that is not there: nothing else was touched" untouched "$before"
settings 'oci-runtime: /usr/bin/crun'
check "back to other cgroups: all run" within 300 each_once a b c
check "back to other cgroups: those made before stay" is_scope b
no_scope() { ! is_scope c; }
check "back to other cgroups: the new one has no scope" no_scope
rm "$manifests"/*.yaml
none() { [ -z "$(ctr -n reconciler containers ls -q)" ] && [ -z "$(systemctl list-units -q --all 'reconciler-*.scope')" ]; }
check "an empty folder ends them, whoever made them" within 300 none
echo "MARK end" >&3
systemctl poweroff
