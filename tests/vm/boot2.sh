# After the reboot; ends in a power cut while one container is being replaced.
check "reboot: 20 workloads are back, each once" within 600 each_once $workloads
counts() { containers | jq -e '[.items[].restarts] | max <= 1'; }
check "reboot: no container was restarted more than once" counts

declare_workload late
check "power cut: the last workload before it is ready" within 300 each_once $workloads late
# The first process of a container heeds no SIGTERM by itself: its grace period is still going on when the power goes.
grace=120
mark=-slow declare_workload w02 '' 'while :; do sleep 1000; done'
slow() { [ "$(processes w02-slow)" = 1 ] && [ "$(processes w02)" = 0 ] && each_once $workloads late; }
check "power cut: one that takes long to stop" within 300 slow
stopping() { [ "$(field w02 .state)" = Stopping ]; }
mark=-changed declare_workload w02
check "power cut: one is being changed" within 300 stopping
echo "MARK cut" >&3
sleep 600
