#!/usr/bin/env python3
"""A ROS 2 node that hands /joint_states on to nodebeat: a sketch to begin with. Parameters: `arm` ("l" or "r").

The callback never waits, so the node's executor is not held up, whatever the agent or Redis does.
"""

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState

import nodebeat


class NodebeatBridge(Node):
    def __init__(self) -> None:
        super().__init__("nodebeat_bridge")
        self.arm = self.declare_parameter("arm", "l").value
        self.robot = nodebeat.Robot(name="ros2-bridge", deadline_ms=1000)
        self.robot.push_state(**{f"is_connected_{self.arm}": True})
        self.create_subscription(JointState, "joint_states", self.on_joints, 10)

    def on_joints(self, message: JointState) -> None:
        # rclpy has arrays of doubles there: they are copied as they are.
        members = {f"joints_{self.arm}": message.position}
        if len(message.velocity):
            members[f"velocities_{self.arm}"] = message.velocity
        stamp = message.header.stamp
        try:
            self.robot.push_state(**members, timestamp_us=stamp.sec * 1_000_000 + stamp.nanosec // 1000)
        except ValueError as error:  # a driver has said NaN
            self.robot.error("robot", "the joints are not known", {"reason": str(error)})

    def destroy_node(self) -> None:
        self.robot.push_state(**{f"is_connected_{self.arm}": False})
        self.robot.flush(1.0)
        self.robot.close()
        super().destroy_node()


def main() -> None:
    rclpy.init()
    node = NodebeatBridge()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()


if __name__ == "__main__":
    main()
