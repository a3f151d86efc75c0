#!/usr/bin/env bash
# A sweep on a real Slurm of one machine that poses as two nodes, as root: installs slurm-wlm and
# munge where they are missing, starts them in a folder of their own, asks for more than the machine
# has, trains a tiny sweep, preempts one job of it and kills another on the way, trains another one
# whose runs take both nodes each, and ends what it has started.
# Usage: scripts/slurm_check.sh [python]
set -euo pipefail
python=${1:-python3}
cd "$(dirname "$0")/.."
folder=$(mktemp -d /tmp/slurm.XXXXXX)
chmod 755 "$folder"
mkdir -p "$folder"/{state,spool,log,text,jobs} /run/munge
host=$(hostname -s)
pids=()

end() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
fi
[ -s /etc/munge/munge.key ] || { mungekey --create --force; chown munge /etc/munge/munge.key; }
if ! munge -n >/dev/null 2>&1; then
    chown -R munge /run/munge
    su -s /bin/sh munge -c "exec /usr/sbin/munged --foreground" >"$folder/log/munged" 2>&1 &
    pids+=($!)
    for _ in $(seq 50); do munge -n >/dev/null 2>&1 && break; sleep 0.2; done
fi

cat >"$folder/slurm.conf" <<CONF
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/ctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/log/ctld.log
SlurmdLogFile=$folder/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=$host NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=$(nproc) RealMemory=2000
NodeName=localhost NodeHostname=$host NodeAddr=127.0.0.1 Port=16819 CPUs=1 RealMemory=2000
PartitionName=ci Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=two Nodes=$host,localhost MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld -D >"$folder/log/ctld.out" 2>&1 & pids+=($!)
for node in "$host" localhost; do
    mkdir -p "$folder/spool/$node"
    slurmd -D -N "$node" >"$folder/log/$node.out" 2>&1 & pids+=($!)
done
for _ in $(seq 100); do [ "$(sinfo -h -N -p two -t idle -o %N 2>/dev/null | wc -l)" = 2 ] && break; sleep 0.3; done
sinfo

for number in $(seq 40); do
    for line in $(seq 40); do echo "$number apples cost $((number * line)) coins."; done
done | split -l 40 - "$folder/text/"
for file in "$folder"/text/*; do mv "$file" "$file.txt"; done
cat >"$folder/sweep.yaml" <<YAML
name: slurm
grid: {width: [16, 32], tokens: 200000, seed: [1, 2, 3]}
model: {context: 32, head_size: 16}
data: {files: ["$folder/text/*.txt"], validation_windows: 16, max_epochs: 100}
recipe: {name: cpt-adamw-tiny/1}
launch:
  {engine: slurm, workers: 2, pack: 1, device: cpu, checkpoints: "$folder/checkpoints",
   slurm: {folder: "$folder/jobs", time: 10}}
YAML
export MLFLOW_TRACKING_URI=sqlite:///$folder/mlflow.db SCALING_STATE_DIR=$folder/local
if "$python" -m scaling run "$folder/sweep.yaml" --set launch.memory_gb=9e4 2>"$folder/refused"; then
    echo "a machine of 90 TB was not refused"; exit 1
fi
cat "$folder/refused"
grep -q "^scaling: Slurm does not take the jobs" "$folder/refused"

"$python" -m scaling run "$folder/sweep.yaml" &
driver=$!
started() {  # the next job, but for the one given, once all that run have written a message
    for _ in $(seq 300); do
        job=$(squeue -h -t R -o %i 2>/dev/null | grep -v "^${1:-none}$" | head -1 || true)
        [ -n "$job" ] && [ "$(find "$folder/jobs" -name '*.messages' -size +0 | wc -l)" -ge \
            "$(squeue -h -t R | wc -l)" ] && return
        sleep 0.2
    done
    return 1
}
started
preempted=$job
scancel --full --signal=USR2 "$preempted" || true  # some of its steps do not take signals
started "$preempted"
scancel --full --signal=KILL "$job" || true
wait "$driver"
grep -h "Caught signal SIGUSR2" "$folder"/jobs/*.err
"$python" -m scaling status "$folder/sweep.yaml" | tail -1 | grep "6 finished"

small=(--set grid.tokens=16000 --set "grid.seed=[1]")
"$python" -m scaling run "$folder/sweep.yaml" "${small[@]}" --set name=nodes --set launch.nodes=2 \
    --set launch.slurm="{folder: $folder/jobs, time: 10, partition: two}"
"$python" -m scaling run "$folder/sweep.yaml" "${small[@]}" --set name=devices \
    --set launch.engine=local --set launch.slurm='{}' --set launch.devices=2
"$python" - <<'PYTHON'
from scaling.store import RunStore
nodes, devices = (
    {run_id: facts["loss"] for run_id, facts in RunStore.find(name, None).facts().items()}
    for name in ("nodes", "devices")
)
assert len(nodes) == 2 and nodes == devices, (nodes, devices)
print("two nodes of one device and two devices of one node: the same losses")
PYTHON
if pgrep -f sweeps.distributed; then echo "a rank was left behind"; exit 1; fi
