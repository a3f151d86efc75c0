#!/usr/bin/env bash
# Sweeps on a real Slurm of one machine that poses as two nodes, as root: installs slurm-wlm and
# munge where they are missing, and starts both on loopback in a folder of their own, so that a
# Slurm or munge of the machine's own is left alone. Asks for more than the machine has; preempts
# one job and kills another while they train; trains runs of two nodes; has a node die under such a
# run. Ends all that it has started, also when something fails: then the logs' ends come last.
# Usage: scripts/slurm_check.sh [python]
set -euo pipefail
python=${1:-python3}
cd "$(dirname "$0")/.."
folder=$(mktemp -d /tmp/slurm.XXXXXX)
chmod 755 "$folder"
mkdir -p "$folder"/{munge,state,spool,log,text,jobs}
host=$(hostname -s)
begun=$SECONDS
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

ours() {  # processes that know of this Slurm and, if given, have NAME=VALUE in their environment
    local file
    for file in $(grep -lsazFx "SLURM_CONF=$folder/slurm.conf" /proc/[0-9]*/environ); do
        [ -z "${1:-}" ] || grep -qsazFx "$1" "$file" || continue
        file=${file#/proc/}
        [ "${file%/environ}" = $$ ] || echo "${file%/environ}"
    done
}
end() {
    local code=$? pids
    trap - EXIT
    trap '' INT TERM
    if [ $code != 0 ]; then
        echo "slurm_check: failed with $code after $((SECONDS - begun)) s; the logs end with" >&2
        tail -n 15 "$folder"/log/*.log "$folder"/jobs/*.err >&2 2>/dev/null || true
        tail -n 3 "$folder"/log/*.out >&2 || true
    fi
    for signal in TERM KILL; do
        pids=$(ours)
        [ -z "$pids" ] || kill -$signal $pids 2>/dev/null || true
        for _ in $(seq 50); do [ -z "$(ours)" ] && break 2; sleep 0.2; done
    done
    [ -z "$(ours)" ] || echo "slurm_check: still there: $(ours | xargs)" >&2
    rm -rf "$folder"
    exit $code
}
trap end EXIT
trap 'exit 130' INT TERM

wait_until() {  # SECONDS WHAT COMMAND...: until the command succeeds, which sets what it finds
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $deadline ] || { echo "slurm_check: not seen in time: $what" >&2; return 1; }
        sleep 0.1
    done
}
say() { echo "== $((SECONDS - begun)) s: $*"; }
scaling() { exec timeout --kill-after=20 900 "$python" -m scaling "$@"; }
drive() { scaling run "$folder/sweep.yaml" "$@" & driver=$!; }  # `wait` hears signals at once
sweep() { drive "$@"; wait "$driver"; }

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
fi
cat >"$folder/slurm.conf" <<CONF
ClusterName=check
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
# a job that is queued again waits until its first credentials are invalid
AuthInfo=socket=$folder/munge/socket,cred_expire=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/ctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/log/ctld.log
SlurmdLogFile=$folder/log/%n.log
SlurmdTimeout=15
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=1
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=$host NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=$(nproc --all) RealMemory=2000
NodeName=localhost NodeHostname=$host NodeAddr=127.0.0.1 Port=16819 CPUs=1 RealMemory=2000
PartitionName=one Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=two Nodes=$host,localhost MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
mungekey --create --keyfile="$folder/munge/key"
munged --force --foreground --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
    --log-file="$folder/log/munge.log" --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" \
    2>"$folder/log/munge.out" &
wait_until 300 "munge" test -S "$folder/munge/socket"
slurmctld -D >"$folder/log/ctld.out" 2>&1 &
node() {  # what it runs knows by CHECK_NODE or SLURMD_NODENAME whose it is
    mkdir -p "$folder/spool/$1"
    CHECK_NODE=$1 slurmd -D -N "$1" >"$folder/log/$1.out" 2>&1 &
}
node "$host"
node localhost
idle() { [ "$(sinfo -h -N -p two -t idle -o %N 2>/dev/null | wc -l)" = 2 ]; }
wait_until 300 "two idle nodes" idle
say "two nodes are idle"
if ss -Hltn 2>/dev/null | grep -E ':1681[789] ' | grep -v '^LISTEN *[0-9]* *[0-9]* *127\.0\.0\.'; then
    echo "slurm_check: a server of Slurm listens beyond loopback"; exit 1
fi

for number in $(seq 40); do
    for line in $(seq 40); do echo "$number apples cost $((number * line)) coins."; done
done | split -l 40 - "$folder/text/"
for file in "$folder"/text/*; do mv "$file" "$file.txt"; done
cat >"$folder/sweep.yaml" <<YAML
name: preempted
grid: {width: [16, 32], tokens: 600000, seed: [1, 2]}
model: {context: 32, head_size: 16}
data: {files: ["$folder/text/*.txt"], validation_windows: 16, max_epochs: 500}
recipe: {name: cpt-adamw-tiny/1}
launch:
  {engine: slurm, workers: 2, device: cpu, slurm: {folder: "$folder/jobs", time: 60},
   speed: {pack: 1}, checkpoints: {folder: "$folder/checkpoints"}}
YAML
export MLFLOW_TRACKING_URI=sqlite:///$folder/mlflow.db SCALING_STATE_DIR=$folder/local

say "more memory than there is"
if sweep --set launch.resources.memory_gb=9e4 2>"$folder/refused"; then
    echo "slurm_check: a machine of 90 TB was not refused"; exit 1
fi
cat "$folder/refused"
grep -q "^scaling: Slurm does not take the jobs" "$folder/refused"

equal() {  # two sweeps have measured the same
    "$python" - "$@" <<'PYTHON'
import sys
from scaling.store.run_store import RunStore
one, other = (
    sorted(facts["loss"] for facts in RunStore.find(name, None).facts().values())
    for name in sys.argv[1:3]
)
assert len(one) == int(sys.argv[3]) and one == other, (one, other)
print(f"{sys.argv[1]} and {sys.argv[2]}: the same {len(one)} losses")
PYTHON
}
say "a job is preempted, another killed"
training() {  # sets job to one that trains and is none of those given, and messages to its file
    for messages in $(grep -la progress "$folder"/jobs/*.messages 2>/dev/null); do
        job=$(grep -la "$(basename "$messages")" "$folder"/jobs/*_submitted.pkl | head -1)
        job=$(basename "$job" _submitted.pkl)
        [[ " $* " = *" $job "* ]] || [ -z "$(squeue -h -t R -j "$job" -o %i 2>/dev/null)" ] ||
            return 0
    done
    return 1
}
finished() {
    wait "$driver" || { cat "$folder/driver"; return 1; }
    sed "/^Slurm accounting storage is disabled/d" "$folder/driver"
}
again="ended without a result; try 2 of 3 follows"
raw() { squeue -h -j "$1" -o %A; }  # the number of a member of a job array
drive >"$folder/driver" 2>&1
wait_until 300 "a job that trains" training
preempted=$job
# scancel calls the job unalterable, and tries again for a minute, although the signal has come
timeout 3 scancel --quiet --signal=USR2 "$(raw "$preempted")" || true
wait_until 300 "another job that trains" training "$preempted"
kill -KILL $(ours "SLURM_JOB_ID=$(raw "$job")")
finished
grep -h "Caught signal SIGUSR2.*preempted" "$folder/jobs/${preempted}"_*.err
scontrol show job "$preempted" | grep -o "Restarts=1"
grep -q "job $job $again" "$folder/driver"
"$python" -m scaling status "$folder/sweep.yaml" | tail -1 | grep "4 finished"

say "the same without disturbance"
here=(--set launch.engine=local --set launch.slurm=null)
sweep "${here[@]}" --set name=undisturbed
equal preempted undisturbed 4

say "runs of two nodes"
two=(--set launch.resources.nodes=2 --set "launch.slurm={folder: $folder/jobs, time: 60, partition: two}")
small=(--set grid.tokens=16000 --set "grid.seed=[1]")
sweep "${small[@]}" --set name=nodes "${two[@]}"
sweep "${small[@]}" --set name=devices "${here[@]}" --set launch.resources.devices=2
equal nodes devices 2
say "the command of docs/how-to/run_on_a_cluster.md, as it stands"
typed=$(sed -n '/^scaling run ladder.yaml --set launch.engine=slurm/,/[^\\]$/p' docs/how-to/run_on_a_cluster.md)
[ -n "$typed" ]
sed 's/^name: .*/name: typed/; s/tokens: 600000/tokens: 16000/; s/slurm: {.*},$/slurm: {},/' \
    "$folder/sweep.yaml" >"$folder/ladder.yaml"
root=$PWD
(
    cd "$folder"
    export PYTHONPATH=$root
    scaling() { "$python" -m scaling "$@"; }
    eval "$typed"
    scaling status ladder.yaml | tail -1 | grep "4 finished"
)
long=(--set grid.tokens=600000 --set "grid.width=[16]" --set "grid.seed=[1]")
sweep "${long[@]}" --set name=whole "${two[@]}"
for dead in localhost "$host"; do
    say "node $dead dies under a run of two nodes"
    drive "${long[@]}" --set name="without-$dead" "${two[@]}" >"$folder/driver" 2>&1
    wait_until 300 "a run of two nodes that trains" training
    kill -KILL $(ours "CHECK_NODE=$dead") $(ours "SLURMD_NODENAME=$dead")
    wait_until 300 "word of the loss" grep -q "$again" "$folder/driver"
    node "$dead"
    finished
    [ "$(grep -c "seed 1: job" "$folder/driver")" = 1 ]
    equal whole "without-$dead" 1
done

say "a node is taken down under a run of two nodes, for longer than a run may be silent"
silent=60  # seconds; a run on a busy machine says something more often
drive "${long[@]}" --set name=down "${two[@]}" --set launch.policy.hang_seconds=$silent >"$folder/driver" 2>&1
wait_until 300 "a run of two nodes that trains" training
scontrol update nodename=localhost state=down reason=check
waits() { [ "$(squeue -h -j "$job" -o %t)" = PD ]; }
wait_until 300 "the job in the queue again" waits
silence() { [ $(($(date +%s) - $(stat -c %Y "$messages"))) -gt $((silent + 10)) ]; }
wait_until 600 "the run's silence" silence
waits
scontrol update nodename=localhost state=resume
finished
scontrol show job "$job" | grep -o "Restarts=1"
if grep "seed 1: job\|hung" "$folder/driver"; then exit 1; fi
equal whole down 1
say "done"
