"""Another program that uses an SQLite database: runs statements, a line each, on connections by name.

It has its own SQLite, of another version. A statement that cannot be run at once fails.
"""

import sqlite3
import sys

path = sys.argv[1]
connections = {}

for line in sys.stdin:
    name, statement = line.rstrip("\n").split(" ", 1)
    if statement == "CLOSE":
        connections.pop(name, None)
        print("ok", flush=True)
        continue
    if name not in connections:
        connections[name] = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        connections[name].execute(statement).fetchall()
        print("ok", flush=True)
    except sqlite3.Error as error:
        print("failed:", error, flush=True)
