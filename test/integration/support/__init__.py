"""What the tests stand on: processes that clean up after themselves, servers that misbehave on
request, and waiting for conditions instead of sleeping."""
