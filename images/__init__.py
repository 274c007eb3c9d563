"""The container images: how they are built, and what keeps their bases as they were."""
