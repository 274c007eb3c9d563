"""HTTP: downloads and JSON posts through one client, tokens bound to an origin, URLs masked."""
