"""Rows as Arrow IPC, file or stream. Imported on first use."""
