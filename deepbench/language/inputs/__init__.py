"""Files that recipes name: found, identified by their SHA-256, read and checked."""
