# After the power cut; then purge and crun.
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

# crun in runc's place, for containerd's shims look for runc on the PATH.
ln -s "$(command -v crun)" /usr/local/sbin/runc
systemctl restart containerd.service
check "crun: image" box_image
check "crun: install" dpkg -i 2.deb
declare_workload a 'memory: 64Mi, cpu: 500m, pids: "50"'
declare_workload b
check "crun: two workloads run" within 300 each_once a b
is_crun() { crun --root /run/containerd/runc/reconciler list | grep -c running; }
check "crun: it is crun that runs them" test "$(is_crun)" = 2
check "crun: limits in cgroup v2" limits_are_set a
check "crun: exec" test "$(reconciler exec a -- echo here)" = here
declare_workload hog 'memory: 16Mi' 'sleep 1; tail /dev/zero'
check "crun: out of memory is reported and restarted" within 300 oom_is_reported hog
rm "$manifests"/*.yaml
none() { [ -z "$(ctr -n reconciler containers ls -q)" ]; }
check "crun: an empty folder ends them" within 300 none
echo "MARK end" >&3
systemctl poweroff
