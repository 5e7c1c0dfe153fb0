//! Files to objects: the renderers and the one place that spawns them. I/O: a private folder per render, child processes.
