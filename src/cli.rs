//! The command line: one file a subcommand. I/O: files, standard output, and whatever the command does.
