"""Resources of `tiltyard.dev/v1alpha1`."""
