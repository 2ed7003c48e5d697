# SPDX-License-Identifier: MIT
"""A Slurm cluster of one node that lives in one folder: munged, slurmctld and slurmd of our own, on ports and a
socket of their own, ended with the test."""
import os
import shutil
import socket
import subprocess
import time

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
CONF = """ClusterName=fathom
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
AuthType=auth/munge
AuthInfo=socket={top}/munge/socket
CryptoType=crypto/munge
SlurmUser=root
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/spool
SlurmctldPidFile={top}/slurmctld.pid
SlurmdPidFile={top}/slurmd.pid
SlurmctldLogFile={top}/slurmctld.log
SlurmdLogFile={top}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def lacking():
    """Why there can be no cluster here, or None."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=path)]
    if missing:
        return "not installed: " + " ".join(missing) + " (Debian: slurm-wlm munge)"
    return None if os.geteuid() == 0 else "slurmd starts jobs as root only"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    def __init__(self, top):
        self.top, self.processes = top, []
        self.env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin",
                        SLURM_CONF=f"{top}/slurm.conf")
        for key in [key for key in self.env if key.startswith("SLURM_") and key != "SLURM_CONF"]:
            del self.env[key]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def begin(self, *command):
        with open(f"{self.top}/{command[0]}.out", "wb") as out:
            self.processes.append(subprocess.Popen(command, env=self.env, stdout=out, stderr=out))

    def start(self):
        top = self.top
        for name in ("munge", "state", "spool"):
            os.makedirs(f"{top}/{name}", mode=0o755)
        with open(f"{top}/munge/key", "wb", opener=lambda p, f: os.open(p, f, 0o400)) as key:
            key.write(os.urandom(128))
        with open(f"{top}/slurm.conf", "w") as conf:
            conf.write(CONF.format(top=top, host=socket.gethostname().split(".")[0], ctld=free_port(),
                                   slurmd=free_port()))
        self.begin("munged", "--foreground", "--force", f"--socket={top}/munge/socket",
                   f"--key-file={top}/munge/key", f"--log-file={top}/munge/log",
                   f"--pid-file={top}/munge/pid", f"--seed-file={top}/munge/seed")
        self.until(lambda: os.path.exists(f"{top}/munge/socket"), "munged's socket")
        self.begin("slurmctld", "-D", "-c")
        self.begin("slurmd", "-D")
        self.until(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "an idle node")

    def ask(self, *command):
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def until(self, true, what, seconds=60):
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s in vain for {what}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self):
        text = ""
        for name in sorted(os.listdir(self.top)):
            if name.endswith((".log", ".out")):
                with open(os.path.join(self.top, name), errors="replace") as file:
                    text += f"== {name}\n" + "".join(file.readlines()[-15:])
        return text + self.ask("squeue") + self.ask("sinfo")
