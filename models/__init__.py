"""What is deployed to see with: signed bundles, registry, evaluation."""
