//! The program: wiring only. I/O: process arguments and exit code.

fn main() -> std::process::ExitCode {
    // Before anything else, because the launcher must not have a second thread.
    if let Some(code) = snapgap::render::sandbox::launcher::intercept() {
        return code;
    }
    snapgap::cli::main()
}
