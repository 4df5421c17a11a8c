"""The minds: one file, one mind, and beside each the pure mathematics that it owns. No I/O."""
