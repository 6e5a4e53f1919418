#!/usr/bin/env python3
"""A control loop of 100 Hz that hands its state to nodebeat, with numpy.

    control_loop.py [--socket PATH] [--seconds N]

Started before the agent, it goes on without it; killed, the agent tells that both arms are no longer connected;
hanging, the agent tells that after a fifth of a second.
"""

import argparse
import time

import numpy as np

import nodebeat

RATE_HZ, POSES, STROKES = 100, 40, 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", help="else $NODEBEAT_SOCKET, else the agent's default")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()

    phase = np.linspace(0, 2, 7)
    step, began = 0, time.monotonic()
    with nodebeat.Robot(options.socket, name="control-loop", deadline_ms=200) as robot:
        robot.push_state(is_connected_l=True, is_connected_r=True, current_pose="ready")
        with robot.stroke(STROKES, scene_name="example", stroke_length=POSES):
            while step < options.seconds * RATE_HZ:
                t = step / RATE_HZ
                q, dq = np.sin(t + phase), np.cos(t + phase)  # here the arms would be read and moved
                robot.push_state(q, -q, dq, -dq)
                if step % 10 == 0:
                    stroke, pose = divmod(step // 10, POSES)
                    robot.update_stroke(stroke_idx=stroke % STROKES, pose_idx=pose)
                step += 1
                time.sleep(max(0.0, began + step / RATE_HZ - time.monotonic()))
        robot.push_state(is_connected_l=False, is_connected_r=False, current_pose="sleep")
        robot.flush(1.0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
