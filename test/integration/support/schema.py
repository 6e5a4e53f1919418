"""What the schema says of values, for the tests that look for it."""

import re

# UTC, without a zone.
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
