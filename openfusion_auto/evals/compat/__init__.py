"""Does a gateway speak its dialects as their clients read them? Probes for any address; a scripted model behind one."""
