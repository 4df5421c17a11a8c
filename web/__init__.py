"""The window: reads snapshots, never decides."""
