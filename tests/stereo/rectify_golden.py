#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints rectify_golden.h: what OpenCV makes of a made-up pair of cameras (pip install opencv-python-headless).

    python3 tests/stereo/rectify_golden.py > tests/stereo/rectify_golden.h
"""
import cv2
import numpy as np

W, H = 640, 480
K = [np.array([[520.0, 0, 330.5], [0, 525.0, 236.25], [0, 0, 1]]),
     np.array([[531.0, 0, 312.0], [0, 528.5, 247.5], [0, 0, 1]])]
D = [np.array([-0.28, 0.09, 0.0011, -0.0007, -0.012, 0.05, 0.02, -0.004]),
     np.array([-0.31, 0.12, -0.0004, 0.0009, -0.02, 0, 0, 0])]
R = cv2.Rodrigues(np.array([0.021, -0.047, 0.033]))[0]
T = np.array([[-0.1203], [0.0041], [0.0072]])
CAMERA = np.array([[525.0, 0, 322.0], [0, 525.0, 240.0], [0, 0, 1]])
PIXELS = [(0, 0), (639, 0), (0, 479), (639, 479), (320, 240), (100, 377), (555, 61)]


def array(name, values):
    text = ", ".join(f"{v:.17g}" for v in np.asarray(values, np.float64).ravel())
    lines, line = [], "   "
    for word in text.split(" "):
        if len(line) + len(word) > 100:
            lines.append(line)
            line = "   "
        line += " " + word
    lines.append(line)
    print(f"static const double {name}[] = {{\n" + "\n".join(lines) + "\n};")


def main():
    print("/* SPDX-License-Identifier: MIT\n * Made by rectify_golden.py with OpenCV %s. */" % cv2.__version__)
    for side in range(2):
        array(f"golden_k{side + 1}", K[side])
        array(f"golden_d{side + 1}", D[side])
    array("golden_r", R)
    array("golden_t", T)
    turned = cv2.stereoRectify(K[0], D[0], K[1], D[1], (W, H), R, T)[:2]
    array("golden_camera", [CAMERA[0, 0], CAMERA[0, 2], CAMERA[1, 2]])
    array("golden_pixels", PIXELS)
    for side in range(2):
        array(f"golden_r{side + 1}", turned[side])
        x, y = cv2.initUndistortRectifyMap(K[side], D[side], turned[side], CAMERA, (W, H), cv2.CV_32FC1)
        array(f"golden_source{side + 1}", [(x[v, u], y[v, u]) for u, v in PIXELS])


if __name__ == "__main__":
    main()
