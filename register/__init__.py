"""登记册 register: what came in, what happened to it, the clocks.

A ground-floor room: it imports nothing of ours. Its errors::

    RegisterError
    ├── AlreadySettled      the entry has its reply; the first one stands
    ├── UnknownEntry        no such entry
    ├── CalendarUnknown     the year lies beyond the loaded working-day data
    └── SealBroken          encrypted personal data cannot be opened with the configured key
"""
