"""The peer of ``pendulums.py``: series of pendulums by the original DeepBench 0.2.3, run by an interpreter that has it.

Each series has its own length and angle, so it is an object of its own. The original writes a log file with each and
keeps it open; the handler is taken away here, else it ends after a thousand. Prints series per CPU-second.
"""

import logging
import os
import sys
import tempfile
import time

import numpy as np
from deepbench.physics_object import Pendulum  # of the original package
from deepbench.physics_object.hamiltonian_pendulum import HamiltonianPendulum

kind, count, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.chdir(tempfile.mkdtemp())
generator = np.random.default_rng(2020)
times = np.linspace(0, 10, steps)
noise = dict.fromkeys(
    ("pendulum_arm_length", "starting_angle_radians", "acceleration_due_to_gravity"), 0.0
)
made = {"newtonian": Pendulum, "hamiltonian": HamiltonianPendulum}[kind]


def series() -> np.ndarray:
    """Return one series."""
    pendulum = made(
        pendulum_arm_length=float(generator.uniform(0.5, 2)),
        starting_angle_radians=float(generator.uniform(0.05, 1.5)),
        acceleration_due_to_gravity=9.81,
        mass_pendulum_bob=1.0,
        noise_std_percent=noise,
    )
    for handler in logging.getLogger("randomseeds").handlers[:]:
        handler.close()
        logging.getLogger("randomseeds").removeHandler(handler)
    return pendulum.create_object(times, noiseless=True)


series()
begun = time.process_time()
for _ in range(count):
    series()
print(count / (time.process_time() - begun))
