"""The command line, the only code that writes to a Hub, and the embedded Hub."""
