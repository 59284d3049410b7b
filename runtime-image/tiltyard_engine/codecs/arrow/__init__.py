"""Rows as Arrow IPC, file or stream. The only package that knows pyarrow; imported on first use."""
