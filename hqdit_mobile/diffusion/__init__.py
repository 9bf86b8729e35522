# SPDX-License-Identifier: Apache-2.0
"""Noise schedules, trajectories and random numbers."""
