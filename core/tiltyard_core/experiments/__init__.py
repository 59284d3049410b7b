"""What feedback says of variants: sums that can be merged, and verdicts that may be looked at."""
