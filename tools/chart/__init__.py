"""What is generated for the Helm chart."""
