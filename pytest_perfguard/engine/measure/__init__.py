"""How a callable is measured: the plan, the loops that obey it, the instruments, the machine."""
