"""Python models: functions that run in processes of their own.

    engine worker ── queue, one pipe for each call ──> worker      (calls.py, asked.py, worker/)
    supervisor ──> keeper ── starts, watches, ends ────> worker      (keeper.py, process.py)

Calls go from engine to worker directly; the keeper only looks after the processes.
"""
