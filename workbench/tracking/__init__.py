"""Trackers: a run's records, mirrored to TensorBoard, W&B or trackio while it trains.

A process of its own follows the run's records (`mirror.py`), so that whatever a tracker does, the
run goes on. A new tracker is an entry of `TRACKERS` in `recipe/tracking.py` and the file that it
names, with a class `Tracker` (`tracker.py` says what it has).
"""
