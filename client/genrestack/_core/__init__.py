"""What both clients share: options, connections, rows and messages; nothing here waits."""
