"""Files and folders, processes, signals, the screen: what the operating system is asked for."""
