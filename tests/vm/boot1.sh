# First boot: install, limits, out of memory, the agent ended in every way, upgrade, removal, reboot.
check "cgroup v2" test "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs
check "containerd answers" within 120 ctr version
check "image" box_image
check "install" dpkg -i 1.deb
check "the service is active and says it reconciles" within 120 reconciling
check "unit file" systemd-analyze verify --man=no reconciler.service
check "enabled at boot" systemctl is-enabled reconciler.service
check "an empty manifests folder is no fault" test "$(reconciler get containers -A -o name 2>/dev/null)" = ""

for w in $workloads; do declare_workload "$w"; done
declare_workload w01 'memory: 64Mi, cpu: 500m, pids: "50"'
check "20 workloads from the folder" within 600 each_once $workloads
check "limits in cgroup v2" limits_are_set w01
check "not spared by the kernel's OOM killer as containerd is" test "$(cat "/proc/$(field w02 .pid)/oom_score_adj")" = 0
check "exec" test "$(reconciler exec w01 -- echo here)" = here
counted() { [ "$(systemctl show -p StatusText --value reconciler.service)" = "reconciling: 20 ready, 0 waiting" ]; }
check "the status line counts them" within 60 counted

declare_workload hog 'memory: 16Mi' 'sleep 1; tail /dev/zero'
check "out of memory is reported and restarted" within 300 oom_is_reported hog
rm "$manifests/hog.yaml"
check "what is no longer declared goes" within 300 gone hog

after_step "restart" systemctl restart reconciler.service
after_step "SIGKILL" systemctl kill -s KILL --kill-whom=main reconciler.service
mkdir -p /run/systemd/system/reconciler.service.d
printf '[Service]\nWatchdogSec=15\nTimeoutAbortSec=5\n' >/run/systemd/system/reconciler.service.d/watchdog.conf
systemctl daemon-reload
after_step "restart with a shorter watchdog" systemctl restart reconciler.service
after_step "watchdog: an agent that hangs" kill -STOP "$(agent_pid)"
check "the journal says it was the watchdog" sh -c 'journalctl -b --no-pager -u reconciler.service | grep -i watchdog'
rm -r /run/systemd/system/reconciler.service.d
systemctl daemon-reload

echo '# mine' >>/etc/reconciler/config.yaml
after_step "upgrade" dpkg --force-confold -i 2.deb
check "the config file is still the administrator's" grep -qx '# mine' /etc/reconciler/config.yaml
before=$(running)
check "remove" dpkg -r reconciler
check "remove: no container was touched" untouched "$before"
check "remove: the service is gone" sh -c '! systemctl is-active reconciler.service && ! test -e /usr/bin/reconciler'
check "install again" dpkg --force-confold -i 2.deb
check "install again: it reconciles" within 300 each_once $workloads
check "install again: the containers were adopted" untouched "$before"
check "containerd stopped and started again" sh -c 'systemctl stop containerd.service; systemctl start containerd.service'
check "containerd stopped and started again: no container was touched" within 300 untouched "$before"

sync
echo "MARK reboot" >&3
systemctl reboot
