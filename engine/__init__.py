"""The machine: language, actor contract, runtimes, journal, ports, physics. Decides nothing."""
